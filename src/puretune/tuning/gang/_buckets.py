"""Who attends to what in a pack: buckets of runs, padded only within a bucket, and their masks.

The runs of a pack are put into buckets of families. A family is what follows one shared run (or, alone, a run
that follows nothing); families of similar sizes share a bucket, in which they are padded to the longest. The
keys of a shared run are used by its whole family without being copied for each row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from puretune.tuning.gang._packing import Pack, Run

_WORTH_A_BUCKET = 40_000
"""Scores that may be computed in vain before another bucket, with its own calls, is the better choice."""
_NEVER = 1 << 40
"""The position of a padded key: after every query. A padded query has position 0, where there is always a
key."""


@dataclass(frozen=True)
class Gather:
    """Tokens put into the slots of a bucket. Padded slots repeat some token, and their gradient is none."""

    places: Tensor
    """[slots]"""
    targets: Tensor
    """[tokens that are here] places of tokens ..."""
    sources: Tensor
    """... and the slots they are in."""


@dataclass(frozen=True)
class Bucket:
    """Families of similar sizes: ``families`` of ``rows`` runs each."""

    families: int
    rows: int
    queries: Gather
    answers: Tensor
    """[slots of queries] the query in the slot, or one past the last query where the slot is padding."""
    own: Gather
    before: Gather | None
    """The shared runs, [families * length]; None if nothing comes before."""
    positions: tuple[Tensor, Tensor]
    """Of the queries [families, rows, queries, 1] and of the keys [families, rows, 1, before + own]."""

    def mask(self, window: int | None, like: Tensor) -> Tensor:
        """[families, rows, queries, keys]: 0 if a query sees a key, -inf elsewhere."""
        queries, keys = self.positions
        seen = keys <= queries
        if window is not None:
            seen &= queries - keys < window
        return like.new_zeros(seen.shape).masked_fill_(~seen, float("-inf"))


@dataclass(frozen=True)
class Layout:
    """All buckets of a pack, for queries at all tokens or at trained ones only."""

    buckets: tuple[Bucket, ...]
    back: Tensor
    """[asking] the slot of each token that asked, among the queries of all buckets."""
    keys: Tensor
    """[tokens] the slot of each token among the own keys of all buckets; one past the last where it has none
    (in a shared run that does not ask)."""

    def masks(self, window: int | None, like: Tensor) -> list[Tensor]:
        """One mask per bucket."""
        return [bucket.mask(window, like) for bucket in self.buckets]


@dataclass(frozen=True)
class _Family:
    """The runs that come after one shared run."""

    before: Run | None
    rows: tuple[Run, ...]

    @property
    def sizes(self) -> tuple[int, int, int]:
        """(shared tokens, rows, tokens of the longest row)"""
        return len(self.before.ids) if self.before else 0, len(self.rows), max(len(r.ids) for r in self.rows)


def layout_of(pack: Pack, trained_only: bool) -> Layout:
    """The buckets of a pack; ``trained_only``: queries at the places of trained tokens only."""
    asked = _asked(pack, trained_only)
    grouped = _buckets(_families(pack.runs, trained_only))
    buckets = tuple(_bucket(families, asked, pack.ids.device) for families in grouped)
    asking = len(pack.places) if trained_only else len(pack.ids)
    slots = _slots_of([bucket.queries for bucket in buckets], asking)
    keys = _slots_of([bucket.own for bucket in buckets], len(pack.ids))
    return Layout(buckets, slots, keys)


def _slots_of(gathers: Sequence[Gather], tokens: int) -> Tensor:
    """[tokens] the slot of each token where the slots of all buckets are concatenated."""
    total = sum(len(one.places) for one in gathers)
    slots = gathers[0].places.new_full((tokens,), total)
    first = 0
    for one in gathers:
        slots[one.targets] = one.sources + first
        first += len(one.places)
    return slots


def _asked(pack: Pack, trained_only: bool) -> dict[int, list[tuple[int, int]]]:
    """By start of a run: (number of the query, place in the run) of each of its queries."""
    asked: dict[int, list[tuple[int, int]]] = {}
    number = 0
    for run in pack.runs:
        places = run.trained if trained_only else range(len(run.ids))
        asked[run.start] = [(number + i, place) for i, place in enumerate(places)]
        number += len(places)
    return asked


def _families(runs: Sequence[Run], trained_only: bool) -> list[_Family]:
    after: dict[int, list[Run]] = {}
    families = []
    for run in runs:
        if run.after is not None:
            after.setdefault(run.after, []).append(run)
        elif run.trained or not trained_only:
            families.append(_Family(None, (run,)))
    return families + [_Family(runs[before], tuple(rows)) for before, rows in after.items()]


def _buckets(families: list[_Family]) -> list[list[_Family]]:
    """Neighbours in size share a bucket as long as little is padding."""
    buckets: list[list[_Family]] = []
    for family in sorted(families, key=lambda family: family.sizes):
        last = buckets[-1] if buckets else []
        vain = _padded([*last, family]) - _padded(last) - _padded([family])
        if last and vain < _WORTH_A_BUCKET:
            last.append(family)
        else:
            buckets.append([family])
    return buckets


def _padded(families: list[_Family]) -> int:
    """Scores per head that a bucket of these families computes."""
    before, rows, length = _sizes(families)
    return len(families) * rows * length * (before + length)


def _sizes(families: list[_Family]) -> tuple[int, int, int]:
    """The largest (shared tokens, rows, own tokens) among families."""
    sizes = [(0, 0, 0), *(family.sizes for family in families)]
    return max(s[0] for s in sizes), max(s[1] for s in sizes), max(s[2] for s in sizes)


def _bucket(families: list[_Family], asked: dict[int, list[tuple[int, int]]], device: Any) -> Bucket:
    before, rows, length = _sizes(families)
    width = max(len(asked[run.start]) for family in families for run in family.rows)
    own, queries, shared = _Slots(length, _NEVER), _Slots(width, 0), _Slots(before, _NEVER)
    for family in families:
        if family.before is not None:
            shared.add(family.before.places, family.before.positions)
        elif before:
            shared.add((), ())
        for run in family.rows:
            own.add(run.places, run.positions)
            found = asked[run.start]
            queries.add([number for number, _ in found], [run.position + place for _, place in found])
        for _ in range(rows - len(family.rows)):
            own.add((), (0,))
            queries.add((), ())
    asking = queries.gather(device)
    answers = asking.places.new_full((len(asking.places),), sum(len(found) for found in asked.values()))
    answers[asking.sources] = asking.targets
    return Bucket(
        families=len(families),
        rows=rows,
        queries=asking,
        answers=answers,
        own=own.gather(device),
        before=shared.gather(device) if before else None,
        positions=_positions(len(families), rows, own, shared if before else None, queries, device),
    )


class _Slots:
    """Sequences padded to one length: which token is in which slot, and at what position."""

    def __init__(self, width: int, padding: int) -> None:
        self.width = width
        self.padding = padding
        """The position of a padded slot."""
        self.tokens: list[int] = []
        self.positions: list[int] = []
        self.filled: list[int] = []

    def add(self, tokens: Sequence[int], positions: Sequence[int]) -> None:
        left = self.width - len(tokens)
        start = len(self.tokens)
        self.filled += range(start, start + len(tokens))
        self.tokens += [*tokens, *[tokens[0] if tokens else 0] * left]
        self.positions += [*positions, *[self.padding] * (self.width - len(positions))]

    def gather(self, device: Any) -> Gather:
        places = torch.tensor(self.tokens, device=device)
        sources = torch.tensor(self.filled, device=device)
        return Gather(places, places[sources], sources)


def _positions(
    families: int, rows: int, own: _Slots, shared: _Slots | None, queries: _Slots, device: Any
) -> tuple[Tensor, Tensor]:
    keys = torch.tensor(own.positions, device=device).view(families, rows, 1, -1)
    if shared is not None:
        first = torch.tensor(shared.positions, device=device).view(families, 1, 1, -1)
        keys = torch.cat([first.expand(-1, rows, -1, -1), keys], dim=-1)
    return torch.tensor(queries.positions, device=device).view(families, rows, -1, 1), keys
