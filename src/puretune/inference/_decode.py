"""The decode loop: a queue of prompts, a batch of rows that they enter and leave one by one.

:class:`Rows` hides what the model is. Which prompts share a batch at which moment follows from the
queue, its drafts and the batch size alone, on every device, so the same queue is decoded in the same way
again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from puretune.inference._draft import Draft
from puretune.inference._group import Item
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
    forgets: bool
    """Whether tokens can be taken back, which drafts need."""

    def enter(
        self, rows: Sequence[int], prompts: Sequence[Sequence[int]], drafts: Sequence[Sequence[int]]
    ) -> Tensor:
        """Start these prompts in these rows, with what may follow them; logits [places, vocabulary] after
        each prompt and each of its draft's tokens, row after row."""
        ...

    def step(self, tokens: Sequence[Sequence[int]]) -> Tensor:
        """These tokens more in every row (none: the row is free, anything may be written there); logits
        [places, vocabulary] after each of them, row after row."""
        ...

    def forget(self, counts: Sequence[int]) -> None:
        """Take back the given number of last tokens of each row."""
        ...

    def keep(self, rows: Sequence[int]) -> bool:
        """Drop all rows but these, which are numbered anew; False, and nothing changed, where it cannot."""
        ...


Finished = tuple[int, tuple[int, ...], Finish]
"""(place in the queue, new token ids, why it ended)"""


def decode(
    batch: Rows,
    items: Sequence[Item],
    stops: frozenset[int],
    size: int,
    drafts: Mapping[Item, Sequence[int]] | None = None,
    vocabulary: int = 1,
) -> Iterator[Finished]:
    """Yields what rows have written as they finish; at most ``size`` run at once.

    All items have the same temperature and top_p; their lengths and limits may differ. ``drafts``: what some
    items' answers probably are, of which no more is checked at once than logits over the ``vocabulary`` have
    room for.
    """
    sampled = bool(items) and items[0].decoding.temperature > 0
    each = vocabulary * (32 if sampled else 4)  # bytes; sampling sorts in float64
    size = min(size, len(items), max(1, _LOGIT_BYTES // each))
    most = max(0, _LOGIT_BYTES // (each * max(1, size)) - 1)
    state = _State(items, stops, size, (drafts or {}) if batch.forgets and most else {}, most)
    while True:
        entering = state.entering(batch)
        if not entering and not state.active:
            return
        if not entering:
            state.compact(batch)
        rows = entering or state.active
        ahead = [state.ahead(row) for row in rows]
        if entering:
            logits = batch.enter(rows, [items[state.places[row]].prompt for row in rows], ahead)
        else:
            asked = dict(zip(rows, ahead, strict=True))
            logits = batch.step(
                [(state.tokens[row], *asked[row]) if row in asked else () for row in range(state.size)]
            )
        yield from state.add(batch, rows, ahead, logits)


class _State:
    """Which item each row is, and what it has written."""

    def __init__(
        self,
        items: Sequence[Item],
        stops: frozenset[int],
        size: int,
        drafts: Mapping[Item, Sequence[int]],
        most: int,
    ) -> None:
        self.items = items
        self.most = most
        """Draft tokens of a row that are checked at once."""
        self.stops = stops
        self.guesses = drafts
        self.waiting = deque(range(len(items)))
        self.places = [-1] * size
        """Row -> place of its item; -1: free."""
        self.tokens = [-1] * size
        """Row -> its last token; -1: free."""
        self.made: dict[int, list[int]] = {}
        self.drafts: dict[int, Draft] = {}
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

    def ahead(self, row: int) -> tuple[int, ...]:
        """What a row will probably say next; the token after it must still be allowed."""
        place = self.places[row]
        made = self.made[place]
        allowed = self.items[place].decoding.max_new_tokens - len(made) - 1
        return self.drafts[place].ahead(made, min(allowed, self.most))

    def add(
        self, batch: Rows, rows: Sequence[int], ahead: Sequence[Sequence[int]], logits: Tensor
    ) -> Iterator[Finished]:
        """Take of each row's next tokens those that are as chosen, and one more; yields what is finished."""
        chosen = iter(self._chosen(rows, ahead, logits))
        wrong = [0] * self.size
        finished = []
        for row, guessed in zip(rows, ahead, strict=True):
            found = [next(chosen) for _ in range(len(guessed) + 1)]
            right = _alike(guessed, found)
            wrong[row] = len(guessed) - right
            place = self.places[row]
            self.drafts[place].checked(len(guessed), right)
            why = self._take(row, found[: right + 1])
            if why:
                del self.drafts[place]
                finished.append((place, tuple(self.made.pop(place)), why))
        if any(wrong):
            batch.forget(wrong)
        yield from finished

    def compact(self, batch: Rows) -> None:
        """Let finished rows leave where that is worth it."""
        rows = self.active
        if not self.waiting and len(rows) < _WORTH_COMPACTING * self.size and batch.keep(rows):
            self.places = [self.places[row] for row in rows]
            self.tokens = [self.tokens[row] for row in rows]

    def _start(self, row: int, place: int) -> None:
        item = self.items[place]
        self.places[row], self.made[place] = place, []
        self.drafts[place] = Draft(self.guesses.get(item, ()), self.stops)
        if item.decoding.temperature > 0:
            self.drawn[place] = uniforms(item.prompt, item.decoding, item.sample).tolist()

    def _take(self, row: int, tokens: Sequence[int]) -> Finish | None:
        """A row's next tokens; why it ends with them, if it does: then the row is free."""
        place = self.places[row]
        made, most = self.made[place], self.items[place].decoding.max_new_tokens
        made += tokens
        self.tokens[row] = tokens[-1]
        # a draft has no stop token and keeps within the limit, so only the last token can end an answer
        stopped = tokens[-1] in self.stops
        if not stopped and len(made) < most:
            return None
        self.places[row] = self.tokens[row] = -1
        return "stop" if stopped else "length"

    def _chosen(self, rows: Sequence[int], ahead: Sequence[Sequence[int]], logits: Tensor) -> list[int]:
        drawn = None
        if self.items[0].decoding.temperature > 0:
            numbers = [
                number
                for row, guessed in zip(rows, ahead, strict=True)
                for number in self._numbers(self.places[row], len(guessed) + 1)
            ]
            drawn = torch.tensor(numbers, dtype=torch.float64, device=logits.device)
        chosen: list[int] = choose(logits, self.items[0].decoding, drawn).tolist()
        return chosen

    def _numbers(self, place: int, count: int) -> list[float]:
        """The uniform numbers that decide an item's next tokens."""
        made = len(self.made[place])
        return self.drawn[place][made : made + count]


def _alike(one: Sequence[int], other: Sequence[int]) -> int:
    """How many leading tokens are the same."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))
