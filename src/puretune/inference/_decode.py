"""The decode loop: a queue of prompts, a batch of rows that they enter and leave one by one.

What the model is stands behind :class:`Rows`. Which prompts share a batch at which moment follows from the
queue and the batch size alone, on every device, so the same queue is decoded in the same way again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from puretune.inference._choose import choose, uniforms
from puretune.inference._types import Decoding, Finish

if TYPE_CHECKING:
    from torch import Tensor

_WORTH_COMPACTING = 0.75
"""Rows leave the batch for good when fewer than this share of them still run and nobody waits."""
_WORTH_ENTERING = 8
"""New rows enter when one row in so many is free: a forward pass over a few short prompts is a poor one."""


@dataclass(frozen=True)
class Item:
    """One answer to make."""

    prompt: tuple[int, ...]
    decoding: Decoding
    sample: int


class Rows(Protocol):
    """A batch of sequences under way in a model, numbered from 0."""

    refills: bool
    """Whether rows can enter while others run."""

    def enter(self, rows: Sequence[int], prompts: Sequence[Sequence[int]]) -> Tensor:
        """Start these prompts in these rows; logits [prompts, vocabulary] after each."""
        ...

    def step(self, tokens: Sequence[int]) -> Tensor:
        """One token more in every row (a negative one: the row is free, anything may be written there);
        logits [rows, vocabulary]."""
        ...

    def keep(self, rows: Sequence[int]) -> bool:
        """Drop all rows but these, which are numbered anew; False, and nothing changed, where it cannot."""
        ...


def decode(
    batch: Rows, items: Sequence[Item], stops: frozenset[int], size: int
) -> Iterator[tuple[int, tuple[int, ...], Finish]]:
    """Yields (place in ``items``, new token ids, finish) as rows finish; at most ``size`` run at once.

    All items have the same temperature and top_p; their lengths and limits may differ.
    """
    state = _State(items, stops, min(size, len(items)))
    while True:
        rows = state.entering(batch)
        if rows:
            logits = batch.enter(rows, [items[state.places[row]].prompt for row in rows])
            yield from state.add(rows, logits)
        elif state.active:
            state.compact(batch)
            yield from state.add(range(len(state.places)), batch.step(state.tokens))
        else:
            return


class _State:
    """Which item each row is, and what it has written."""

    def __init__(self, items: Sequence[Item], stops: frozenset[int], size: int) -> None:
        self.items = items
        self.stops = stops
        self.waiting = deque(range(len(items)))
        self.places = [-1] * size
        """Row -> place of its item; -1: free."""
        self.tokens = [-1] * size
        """Row -> its last token; -1: free."""
        self.made: dict[int, list[int]] = {}
        self.drawn: dict[int, list[float]] = {}

    @property
    def active(self) -> list[int]:
        return [row for row, place in enumerate(self.places) if place >= 0]

    def entering(self, batch: Rows) -> list[int]:
        """The rows that the next waiting items take now."""
        free = [row for row, place in enumerate(self.places) if place < 0]
        size = len(self.places)
        enough = len(free) == size or (batch.refills and len(free) * _WORTH_ENTERING >= size)
        if not self.waiting or not enough:
            return []
        rows = free[: len(self.waiting)]
        if len(rows) < size and not batch.refills:
            batch.keep(rows)
            self.places, self.tokens = [-1] * len(rows), [-1] * len(rows)
        for row in rows:
            self._start(row, self.waiting.popleft())
        return rows

    def add(self, rows: Sequence[int], logits: Tensor) -> Iterator[tuple[int, tuple[int, ...], Finish]]:
        """Choose a token for each of the rows; yields what is finished by it."""
        for row, token in zip(rows, self._chosen(rows, logits), strict=True):
            place = self.places[row]
            if place < 0:
                continue
            made = self.made[place]
            made.append(token)
            self.tokens[row] = token
            stopped = token in self.stops
            if stopped or len(made) == self.items[place].decoding.max_new_tokens:
                self.places[row] = self.tokens[row] = -1
                yield place, tuple(self.made.pop(place)), "stop" if stopped else "length"

    def compact(self, batch: Rows) -> None:
        """Let finished rows leave where that is worth it."""
        rows = self.active
        if not self.waiting and len(rows) < _WORTH_COMPACTING * len(self.places) and batch.keep(rows):
            self.places = [self.places[row] for row in rows]
            self.tokens = [self.tokens[row] for row in rows]

    def _start(self, row: int, place: int) -> None:
        item = self.items[place]
        self.places[row], self.made[place] = place, []
        if item.decoding.temperature > 0:
            self.drawn[place] = uniforms(item.prompt, item.decoding, item.sample).tolist()

    def _chosen(self, rows: Sequence[int], logits: Tensor) -> list[int]:
        import torch

        drawn = None
        if self.items[0].decoding.temperature > 0:
            numbers = [self._number(self.places[row]) for row in rows]
            drawn = torch.tensor(numbers, dtype=torch.float64, device=logits.device)
        chosen: list[int] = choose(logits, self.items[0].decoding, drawn).tolist()
        return chosen

    def _number(self, place: int) -> float:
        """The uniform number that decides an item's next token; a free row's does not matter."""
        return self.drawn[place][len(self.made[place])] if place >= 0 else 0.0
