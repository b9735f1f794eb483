"""The decode loop: a queue of prompts, a batch of rows that they enter and leave one by one.

:class:`Rows` hides what the model is. Which prompts share a batch at which moment follows from the
queue and the batch size alone, on every device, so the same queue is decoded in the same way
again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from puretune.inference._request_groups import Item
from puretune.inference._sampling import choose, uniforms
from puretune.inference._types import Finish

_WORTH_COMPACTING = 0.75
"""Rows leave the batch for good when fewer than this share of them still run and nobody waits."""
_LOGIT_BYTES = 1 << 30
"""Room for the logits of one forward pass, which are as wide as the vocabulary."""
_WORTH_ENTERING = 8
"""New rows enter when one row in this many is free: a forward pass over a few short prompts is
inefficient."""


class Rows(Protocol):
    """A batch of sequences under way in a model, numbered from 0."""

    refills: bool
    """Whether rows can enter while others run."""

    def enter(self, rows: Sequence[int], prompts: Sequence[Sequence[int]]) -> Tensor:
        """Start these prompts in these rows; logits [rows, vocabulary] after each."""
        ...

    def step(self, tokens: Sequence[int]) -> Tensor:
        """One more token in every row (-1: the row is free, anything may be written there); logits [rows,
        vocabulary] of the rows that are not free."""
        ...

    def keep(self, rows: Sequence[int]) -> bool:
        """Drop all rows but these, which are numbered anew; False, and nothing changed, where it cannot."""
        ...


Finished = tuple[int, tuple[int, ...], Finish]
"""(place in the queue, new token ids, why it ended)"""


def decode(
    batch: Rows, items: Sequence[Item], stops: frozenset[int], size: int, vocabulary: int = 1
) -> Iterator[Finished]:
    """Yields what rows have written as they finish; at most ``size`` run at once, fewer where logits over the
    ``vocabulary`` have no room for so many.

    All items have the same temperature and top_p; their lengths and limits may differ.
    """
    sampled = bool(items) and items[0].decoding.temperature > 0
    each = vocabulary * (32 if sampled else 4)  # bytes; sampling sorts in float64
    state = _State(items, stops, min(size, len(items), max(1, _LOGIT_BYTES // each)))
    while True:
        rows = state.entering(batch)
        if rows:
            logits = batch.enter(rows, [items[state.places[row]].prompt for row in rows])
        elif state.active:
            state.compact(batch)
            rows, logits = state.active, batch.step(state.tokens)
        else:
            return
        yield from state.add(rows, logits)


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
    def size(self) -> int:
        return len(self.places)

    @property
    def active(self) -> list[int]:
        return [row for row, place in enumerate(self.places) if place >= 0]

    def entering(self, batch: Rows) -> list[int]:
        """The rows that the next waiting items take now."""
        free = [row for row, place in enumerate(self.places) if place < 0]
        enough = len(free) == self.size or (batch.refills and len(free) * _WORTH_ENTERING >= self.size)
        if not self.waiting or not enough:
            return []
        rows = free[: len(self.waiting)]
        if len(rows) < self.size and not batch.refills:
            batch.keep(rows)
            self.places, self.tokens = [-1] * len(rows), [-1] * len(rows)
        for row in rows:
            self._start(row, self.waiting.popleft())
        return rows

    def add(self, rows: Sequence[int], logits: Tensor) -> list[Finished]:
        """Choose each row's next token; returns what is finished with it."""
        finished = []
        for row, token in zip(rows, self._chosen(rows, logits), strict=True):
            place = self.places[row]
            why = self._take(row, token)
            if why:
                finished.append((place, tuple(self.made.pop(place)), why))
        return finished

    def compact(self, batch: Rows) -> None:
        """Let finished rows leave where that is worth it."""
        rows = self.active
        if not self.waiting and len(rows) < _WORTH_COMPACTING * self.size and batch.keep(rows):
            self.places = [self.places[row] for row in rows]
            self.tokens = [self.tokens[row] for row in rows]

    def _start(self, row: int, place: int) -> None:
        item = self.items[place]
        self.places[row], self.made[place] = place, []
        if item.decoding.temperature > 0:
            self.drawn[place] = uniforms(item.prompt, item.decoding, item.sample).tolist()

    def _take(self, row: int, token: int) -> Finish | None:
        """A row's next token; why it ends with it, if it does: then the row is free."""
        place = self.places[row]
        made = self.made[place]
        made.append(token)
        self.tokens[row] = token
        if token not in self.stops and len(made) < self.items[place].decoding.max_new_tokens:
            return None
        self.places[row] = self.tokens[row] = -1
        return "stop" if token in self.stops else "length"

    def _chosen(self, rows: Sequence[int], logits: Tensor) -> list[int]:
        drawn = None
        if self.items[0].decoding.temperature > 0:
            places = [self.places[row] for row in rows]
            numbers = [self.drawn[place][len(self.made[place])] for place in places]
            drawn = torch.tensor(numbers, dtype=torch.float64, device=logits.device)
        chosen: list[int] = choose(logits, self.items[0].decoding, drawn).tolist()
        return chosen
