"""Which sequences go into which optimiser step, as a flat order that any number of processes can share.

Every step has equally many places; those that a short step (an epoch's last) does not need hold a filler
without a trained token, so that the trainer's accumulation is the same in every step and its loss untouched.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from puretune.errors import InputError
from puretune.tuning._rows import Row
from puretune.tuning._schedule import rows_of_step
from puretune.tuning._types import Recipe

IGNORED = -100
"""The label of a token that is not trained (PyTorch's cross-entropy)."""


@dataclass(frozen=True)
class Strand:
    """Some rows in order, as the trainer's data set holds them."""

    rows: tuple[Row, ...]

    def item(self) -> dict[str, list[int]]:
        """``input_ids`` and ``labels`` (the ids, or IGNORED) of equal length; ``seq_lengths`` of the rows."""
        return {
            "input_ids": [token for row in self.rows for token in row.ids],
            "labels": [label for row in self.rows for label in labels_of(row)],
            "seq_lengths": [len(row.ids) for row in self.rows],
        }


def labels_of(row: Row) -> list[int]:
    """The row's labels: what our loss mask says."""
    return [token if trained else IGNORED for token, trained in zip(row.ids, row.loss_mask, strict=True)]


@dataclass(frozen=True)
class Steps:
    """A training's data: sequences, and for every place of every step the number of its sequence."""

    strands: list[Strand]
    order: list[int]
    micro: int
    """Sequences per forward pass on one process."""
    accumulation: int
    """Forward passes per step on one process."""

    @property
    def items(self) -> list[dict[str, Any]]:
        """The sequences as the data set holds them."""
        return [one.item() for one in self.strands]


def plan_data(
    recipe: Recipe, rows: Sequence[Row], seed: int, steps: int, micro: int, processes: int, capacity: int
) -> Steps:
    """The first ``steps`` steps of a recipe. ``capacity`` > 0: pack rows into sequences of that many
    tokens."""
    size = recipe.batch_size * recipe.accumulation
    chosen = [rows_of_step(recipe, len(rows), seed, step) for step in range(steps)]
    if capacity:
        packed = [_packed([rows[place] for place in step], capacity) for step in chosen]
        return _steps([sequence for step in packed for sequence in step], _numbered(packed), 1, processes)
    micro = min(micro, size // processes)
    return _steps([Strand((row,)) for row in rows], chosen, micro, processes)


def check_shares(recipe: Recipe, processes: int) -> None:
    """InputError if a step's rows cannot be shared out evenly among the processes."""
    size = recipe.batch_size * recipe.accumulation
    if size % processes:
        raise InputError(
            f"{processes} processes cannot share the {size} rows of a step evenly "
            f"({recipe.batch_size} x {recipe.accumulation}). Change recipe.batch_size or accumulation."
        )


def _steps(sequences: Sequence[Strand], chosen: Sequence[Sequence[int]], micro: int, processes: int) -> Steps:
    accumulation = math.ceil(max(len(step) for step in chosen) / (micro * processes))
    filler, places = len(sequences), accumulation * micro * processes
    first = sequences[0].rows[0].ids[0]
    blank = Strand((Row((first, first), (False, False), shared=0),))
    order = [place for step in chosen for place in [*step, *[filler] * (places - len(step))]]
    return Steps([*sequences, blank], order, micro, accumulation)


def _numbered(packed: Iterable[Sequence[Strand]]) -> list[range]:
    numbered, first = [], 0
    for step in packed:
        numbered.append(range(first, first + len(step)))
        first += len(step)
    return numbered


def _packed(rows: Sequence[Row], capacity: int) -> list[Strand]:
    """First fit, longest first; a row is never cut."""
    bins: list[list[Row]] = []
    for row in sorted(rows, key=lambda row: -len(row.ids)):
        room = (one for one in bins if sum(len(r.ids) for r in one) + len(row.ids) <= capacity)
        place = next(room, None)
        if place is None:
            bins.append([row])
        else:
            place.append(row)
    return [Strand(tuple(one)) for one in bins]
