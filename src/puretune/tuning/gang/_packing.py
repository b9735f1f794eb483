"""Rows of several adapters laid end to end, without padding, shared tokens once.

    adapter 0: [shared tokens][own tokens of row 0][own tokens of row 1]...   adapter 1: [shared tokens]...

A *run* is a stretch of tokens that belong together; a row's run comes *after* the run of what it shares. What
attends to what follows from that: a token sees the run before its own, and its own up to itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from puretune.tuning._dropout import DropoutStreams, Span, shared_stream, spans_of
from puretune.tuning._rows import Row


@dataclass(frozen=True)
class Part:
    """What one adapter contributes to a pass: some rows of an optimiser step."""

    rows: tuple[Row, ...]
    first: int
    """Place of the first row in its step."""
    streams: DropoutStreams
    weight: float
    """Of each trained token's loss: one over the trained tokens of the whole step."""


@dataclass(frozen=True)
class Run:
    """Tokens laid end to end."""

    ids: tuple[int, ...]
    start: int
    """Place of the first token in the pack."""
    position: int
    """Position of the first token in its sequence."""
    after: int | None
    """Number of the run that comes before this one in the sequence."""
    trained: tuple[int, ...]
    """Places in the run at which the next token is trained."""
    spans: tuple[Span, ...]
    """The dropout streams of the tokens."""

    @property
    def places(self) -> range:
        """Places of the tokens in the pack."""
        return range(self.start, self.start + len(self.ids))

    @property
    def positions(self) -> range:
        """Their positions in the sequence."""
        return range(self.position, self.position + len(self.ids))


@dataclass(frozen=True)
class Pack:
    """The tokens of a pass, and where in it the loss is taken."""

    runs: tuple[Run, ...]
    ids: Tensor
    """[tokens]"""
    positions: Tensor
    """[tokens]"""
    ends: tuple[int, ...]
    """Where the tokens of each adapter end."""
    places: Tensor
    """[trained] places of the tokens that predict a trained one, adapter by adapter."""
    trained_ends: tuple[int, ...]
    """Where the trained tokens of each adapter end."""
    parts: tuple[Part, ...]

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        return max(run.positions.stop for run in self.runs)

    def mask(self, layer: str, width: int, like: Tensor) -> Tensor | None:
        """Dropout of a layer's input, [tokens, width]; None without dropout."""
        if not any(part.streams.dropout for part in self.parts):
            return None
        drawn, first = [], 0
        for part, end in zip(self.parts, self.ends, strict=True):
            spans = [span for run in self.runs if first <= run.start < end for span in run.spans]
            if spans:
                drawn.append(part.streams.mask(layer, spans, width, like))
            first = end
        return torch.cat(drawn)


def packed(parts: Sequence[Part], device: Any, share: bool = True, pack: bool = True) -> Pack:
    """One pass. ``share``: shared tokens once; ``pack``: rows are not padded to their adapter's longest."""
    runs: list[Run] = []
    ends, trained_ends = [], []
    for part in parts:
        _add(runs, part, share, pack)
        ends.append(_end(runs))
        trained_ends.append(sum(len(run.trained) for run in runs))

    def tensor(values: list[int]) -> Tensor:
        return torch.tensor(values, device=device)

    return Pack(
        runs=tuple(runs),
        ids=tensor([token for run in runs for token in run.ids]),
        positions=tensor([position for run in runs for position in run.positions]),
        ends=tuple(ends),
        places=tensor([run.start + i for run in runs for i in run.trained]),
        trained_ends=tuple(trained_ends),
        parts=tuple(parts),
    )


def _add(runs: list[Run], part: Part, share: bool, pack: bool) -> None:
    """Appends the runs of one adapter: what rows share, then what is their own."""
    start = _end(runs)
    width = None if pack else max((len(row.ids) - 1 for row in part.rows), default=0)
    shared: dict[tuple[int, ...], int] = {}
    for row in part.rows if share else ():
        ids = row.ids[: row.shared]
        if ids and ids not in shared:
            shared[ids] = len(runs)
            runs.append(Run(ids, start, 0, None, (), (Span(shared_stream(row), len(ids)),)))
            start += len(ids)
    for place, row in enumerate(part.rows, part.first):
        runs.append(_own(row, place, start, shared.get(row.ids[: row.shared]), width))
        start += len(runs[-1].ids)


def _end(runs: list[Run]) -> int:
    return runs[-1].places.stop if runs else 0


def _own(row: Row, place: int, start: int, after: int | None, width: int | None) -> Run:
    skip = row.shared if after is not None else 0
    padding = width - len(row.ids) + 1 if width else 0
    spans = spans_of(row, place)[1 if skip else 0 :]
    return Run(
        ids=row.ids[skip:-1] + (0,) * padding,
        start=start,
        position=skip,
        after=after,
        trained=tuple(place - 1 - skip for place in row.places),
        spans=(*spans, Span("padding", padding)),
    )


def ends_of(sizes: Sequence[int]) -> tuple[int, ...]:
    """Where pieces of these sizes end."""
    return tuple(accumulate(sizes))
