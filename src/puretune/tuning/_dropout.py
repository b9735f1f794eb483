"""Dropout as a function of (seed, step, layer, row), whatever else is in the batch.

Each row of a step has its own stream in each layer. The leading tokens that all rows of a template share have
one stream a step, so that they can be computed once. Each row sees the same distribution as under independent
draws, and the expected loss is the same; only rows of one step are correlated in these tokens.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from puretune.tuning._rows import Row
from puretune.tuning._schedule import stream


@dataclass(frozen=True)
class Span:
    """A run of tokens whose masks come from one stream."""

    stream: str
    length: int


@dataclass(frozen=True)
class DropoutStreams:
    """The streams of one task in one optimiser step."""

    seed: int
    step: int
    dropout: float

    def mask(self, layer: str, spans: Iterable[Span], width: int, like: Tensor) -> Tensor:
        """[tokens of all spans, width]: 0 if dropped, 1 / (1 - dropout) elsewhere."""
        drawn = [self._draw(layer, span, width, like) for span in spans if span.length]
        return torch.cat(drawn).div_(1 - self.dropout)

    def on_padded(self, rows: Sequence[Row], first: int) -> Callable[[str, Tensor], Tensor] | None:
        """Drops from inputs [rows, tokens, width] of rows padded on the right; ``first``: the first one's
        place in the step. None without dropout."""
        if not self.dropout:
            return None
        return lambda layer, x: x * self._padded_mask(layer, rows, first, x)

    def _padded_mask(self, layer: str, rows: Sequence[Row], first: int, x: Tensor) -> Tensor:
        if x.dim() != 3 or x.shape[0] != len(rows):  # tokens in an order of the model's own (experts)
            whole = self.mask(layer, [Span(f"rows from {first}", x[..., 0].numel())], x.shape[-1], x)
            return whole.view(x.shape)
        mask = x.new_ones(x.shape)
        for i, row in enumerate(rows):
            spans = spans_of(row, first + i)
            mask[i, : len(row.ids) - 1] = self.mask(layer, spans, x.shape[-1], x)
        return mask

    def _draw(self, layer: str, span: Span, width: int, like: Tensor) -> Tensor:
        seed = stream(self.seed, f"dropout {layer} {span.stream}", self.step)
        generator: Any = torch.Generator(like.device).manual_seed(seed)
        return like.new_empty(span.length, width).bernoulli_(1 - self.dropout, generator=generator)


def spans_of(row: Row, place: int) -> tuple[Span, Span]:
    """The shared tokens of the row at ``place`` of a step, and its own ones (the last predicts nothing)."""
    return Span(shared_stream(row), row.shared), Span(f"row {place}", len(row.ids) - 1 - row.shared)


def shared_stream(row: Row) -> str:
    """The name of the stream of the tokens that the row shares: the same for the same tokens."""
    return f"shared {hashlib.sha256(repr(row.ids[: row.shared]).encode()).hexdigest()}"
