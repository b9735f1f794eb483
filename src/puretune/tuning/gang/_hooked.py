"""The other routes: several adapters on the model's own forward pass, or one at a time.

Hooked works wherever linear layers see inputs [rows, tokens, width], each row by itself; if one does not
(experts, for one), the route says so and the gang goes on alone, which is what the reference tuner does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from puretune.models import Lora, attached
from puretune.tuning._rows import Row
from puretune.tuning.gang._adapted import lora_added
from puretune.tuning.gang._packing import Part, ends_of
from puretune.tuning.gang._stack import Leaves
from puretune.tuning.loop import token_losses

_BY_LENGTH = ("dynamic", "longrope")
"""Rotary embeddings that depend on the longest row of a batch."""


class CannotShare(Exception):
    """A layer does not see its inputs row by row, so several adapters cannot share one pass."""


def can_hook(model: Any) -> bool:
    """Whether a row's result cannot depend on the other rows of its batch, as far as the model tells."""
    rope = getattr(model.config.get_text_config(decoder=True), "rope_parameters", None) or {}
    return rope.get("rope_type") not in _BY_LENGTH


class HookedRoute:
    """Rows of several adapters padded into one batch of the model's own forward pass."""

    together = True

    def __init__(self, model: Any) -> None:
        self.model = model

    def losses(self, parts: Sequence[Part], leaves: Leaves, recompute: bool) -> Tensor:
        """The loss of every trained token, in the order of the parts; differentiable in ``leaves``."""
        rows = [row for part in parts for row in part.rows]
        width = _distinct_width(rows)
        stacked = _stacked(self.model, parts, leaves, (len(rows), width))
        return token_losses(self.model, rows, stacked, at_least=width)


class AloneRoute:
    """One adapter at a time, exactly as the reference tuner computes it."""

    together = False

    def __init__(self, model: Any) -> None:
        self.model = model

    def losses(self, parts: Sequence[Part], leaves: Leaves, recompute: bool) -> Tensor:
        """The loss of every trained token of the only part; differentiable in ``leaves``."""
        (part,) = parts
        pairs: Any = {name: (a[0], b[0]) for name, (a, b) in leaves.pairs.items()}
        lora = Lora(0, 0.0, (), pairs, leaves.scaling)
        drop = part.streams.on_padded(part.rows, part.first)
        return token_losses(self.model, part.rows, attached(self.model, lora, drop))


def _distinct_width(rows: Sequence[Row]) -> int:
    """A width other than the number of rows: inputs the wrong way round would otherwise go unnoticed."""
    width = max(len(row.ids) for row in rows) - 1
    return width + (width == len(rows))


@contextmanager
def _stacked(model: Any, parts: Sequence[Part], leaves: Leaves, shape: Sequence[int]) -> Iterator[None]:
    modules = dict(model.named_modules())
    handles = [
        modules[name].register_forward_hook(_hook(name, parts, leaves, shape)) for name in leaves.pairs
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hook(
    name: str, parts: Sequence[Part], leaves: Leaves, shape: Sequence[int]
) -> Callable[[Any, tuple[Any, ...], Tensor], Tensor]:
    ends = ends_of([len(part.rows) * shape[1] for part in parts])

    def add(module: Any, arguments: tuple[Any, ...], output: Tensor) -> Tensor:
        x = arguments[0]
        if x.shape[:-1] != tuple(shape):
            raise CannotShare(name)
        x = _dropped(name, parts, x.to(leaves.pairs[name][0].dtype))
        flat = output.flatten(0, 1).clone()  # the model may still need its own
        return lora_added(flat, x.flatten(0, 1), *leaves.pairs[name], leaves.scaling, ends).view_as(output)

    return add


def _dropped(name: str, parts: Sequence[Part], x: Tensor) -> Tensor:
    pieces = []
    for part, piece in zip(parts, torch.split(x, [len(part.rows) for part in parts]), strict=True):
        drop = part.streams.on_padded(part.rows, part.first)
        pieces.append(piece if drop is None else drop(name, piece))
    return torch.cat(pieces) if len(pieces) > 1 else pieces[0]
