"""Linear layers with the same inputs: the weights as they are, or joined into one product.

Joined, an adapter costs no products of its own size: what its A makes of the inputs is appended to them as
a few more columns, and its B to the weights, ``[x, x A'] [W, s B]'``. The terms are added up before they
are rounded, so that in half precision an adapter's small changes count. A and B themselves are rounded to the
weights' format, as vLLM does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import linear

from puretune.models import LowRank, low_rank


class Linears(Protocol):
    """Some layers that are given the same inputs."""

    def __call__(self, x: Tensor, places: Tensor | None) -> Sequence[Tensor]:
        """[tokens, inputs] -> [tokens, outputs] of each. ``places``: which tokens these are; None: all."""
        ...

    def __getitem__(self, some: slice) -> Linears:
        """Some of them."""
        ...


@dataclass(frozen=True)
class Separate:
    """One product each, with the modules' own tensors."""

    layers: tuple[tuple[Tensor, Tensor | None], ...]
    """Weight [outputs, inputs] and perhaps bias [outputs] of each."""

    def __call__(self, x: Tensor, places: Tensor | None) -> Sequence[Tensor]:
        return [linear(x, weight, bias) for weight, bias in self.layers]

    def __getitem__(self, some: slice) -> Separate:
        return Separate(self.layers[some])


@dataclass(frozen=True)
class Joined:
    """One product for all, with the adapter in it."""

    weight: Tensor
    """[all outputs, inputs + ranks]"""
    bias: Tensor | None
    low: Tensor | None
    """What is attached to the layers: their A, one below another [ranks, inputs]."""
    sizes: tuple[int, ...]
    """Outputs of each."""

    def __call__(self, x: Tensor, places: Tensor | None) -> Sequence[Tensor]:
        if self.low is not None:
            x = torch.cat([x, linear(x, self.low)], -1)
        out: Sequence[Tensor] = torch.split(linear(x, self.weight, self.bias), list(self.sizes), -1)
        return out

    def __getitem__(self, some: slice) -> Joined:
        ends = (0, *accumulate(self.sizes))
        first, last, _ = some.indices(len(self.sizes))
        rows = slice(ends[first], ends[last])
        bias = None if self.bias is None else self.bias[rows]
        return Joined(self.weight[rows], bias, self.low, self.sizes[some])


def separate(names: Sequence[str], modules: Sequence[Any]) -> Separate:
    """Plain linear modules; they share their tensors with the result."""
    return Separate(tuple((module.weight, module.bias) for module in modules))


def joined(names: Sequence[str], modules: Sequence[Any]) -> Joined:
    """Linear modules and what :func:`puretune.models.attached` has put on them; copies."""
    weight = torch.cat([module.weight for module in modules])
    adapters = [low_rank(module) for module in modules]
    known = [adapter for adapter in adapters if adapter is not None]
    low = None
    if known:
        low = torch.cat([adapter.a for adapter in known]).to(weight.dtype)
        weight = torch.cat([weight, _columns(modules, adapters).to(weight.dtype)], -1)
    return Joined(weight, _biases(modules), low, tuple(module.out_features for module in modules))


def _columns(modules: Sequence[Any], adapters: Sequence[LowRank | None]) -> Tensor:
    """[all outputs, ranks]: each layer's s * B where its own A is read, zero elsewhere."""
    blocks = [
        module.weight.new_zeros(module.out_features, 0) if one is None else one.scaling * one.b
        for module, one in zip(modules, adapters, strict=True)
    ]
    return torch.block_diag(*blocks)  # type: ignore[no-any-return, no-untyped-call]


def _biases(modules: Sequence[Any]) -> Tensor | None:
    if all(module.bias is None for module in modules):
        return None
    return torch.cat(
        [
            module.weight.new_zeros(module.out_features) if module.bias is None else module.bias
            for module in modules
        ]
    )
