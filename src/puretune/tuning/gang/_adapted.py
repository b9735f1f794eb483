"""Linear layers with the adapters of a gang on them, their gradient by hand: fewer passes over memory.

Weights of the base are frozen, so that nothing here computes their gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from puretune.tuning.gang._packing import Pack
from puretune.tuning.gang._stack import Leaves


@dataclass(frozen=True)
class Adapted:
    """Linear modules with the same inputs, by name. Implements ``puretune.decoder.Linears``."""

    pack: Pack
    leaves: Leaves
    names: Sequence[str]
    modules: Sequence[Any]

    def __call__(self, x: Tensor, places: Tensor | None) -> Sequence[Tensor]:
        return [self._one(*named, x, places) for named in zip(self.names, self.modules, strict=True)]

    def __getitem__(self, some: slice) -> Adapted:
        return replace(self, names=self.names[some], modules=self.modules[some])

    def _one(self, name: str, module: Any, x: Tensor, places: Tensor | None) -> Tensor:
        base = linear(x, module.weight, module.bias)
        if name not in self.leaves.pairs:
            return base
        a, b = self.leaves.pairs[name]
        mask = self.pack.mask(name, x.shape[-1], a)
        if mask is not None:
            x = x.to(mask.dtype) * (mask if places is None else mask[places])
        ends = self.pack.ends if places is None else self.pack.trained_ends
        return lora_added(base, x, a, b, self.leaves.scaling, ends)


def lora_added(base: Tensor, x: Tensor, a: Tensor, b: Tensor, scaling: float, ends: Sequence[int]) -> Tensor:
    """``base + scaling * x A' B'`` with each adapter's matrices on its own tokens; may overwrite ``base``.

    base: [tokens, outputs]; x: [tokens, inputs]; a: [adapters, rank, inputs]; b: [adapters, outputs, rank];
    ends: where the tokens of each adapter end.
    """
    result: Tensor = _LoraAdded.apply(base, x, a, b, scaling, tuple(ends))  # type: ignore[no-untyped-call]
    return result


class _LoraAdded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, base: Any, x: Any, a: Any, b: Any, scaling: float, ends: Any) -> Any:
        x = x.to(a.dtype)
        low = x.new_empty(len(x), a.shape[1])
        result = base if base.dtype == a.dtype else base.to(a.dtype)
        sizes = [end - start for start, end in zip((0, *ends), ends, strict=False)]
        b = b * scaling
        each = (m.split(sizes) for m in (x, low, result))
        for x_k, low_k, result_k, a_k, b_k in zip(*each, a.mT.unbind(), b.mT.unbind(), strict=True):
            torch.mm(x_k, a_k, out=low_k)
            result_k.addmm_(low_k, b_k)
        ctx.save_for_backward(x, low, a, b)
        ctx.scaling, ctx.sizes = scaling, sizes
        if result is base:
            ctx.mark_dirty(base)
        return result.to(base.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        x, low, a, b = ctx.saved_tensors
        full = grad.to(a.dtype)
        da, db = (torch.empty(m.shape, dtype=m.dtype, device=m.device) for m in (a, b))
        dx = torch.empty_like(x) if ctx.needs_input_grad[1] else None
        dlow = torch.empty_like(low)
        each = (m.split(ctx.sizes) for m in (x, low, full, dlow))
        for x_k, low_k, full_k, dlow_k, b_k, da_k, db_k in zip(
            *each, b.unbind(), da.unbind(), db.unbind(), strict=True
        ):
            torch.mm(full_k, b_k, out=dlow_k)
            torch.mm(dlow_k.T, x_k, out=da_k)
            torch.mm(full_k.T, low_k, out=db_k)
        db.mul_(ctx.scaling)
        if dx is not None:
            each = (torch.split(m, ctx.sizes) for m in (dlow, dx))
            for dlow_k, dx_k, a_k in zip(*each, a.unbind(), strict=True):
                torch.mm(dlow_k, a_k, out=dx_k)
        return grad, None if dx is None else dx.to(grad.dtype), da, db, None, None
