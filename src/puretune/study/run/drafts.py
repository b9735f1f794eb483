"""Which answers are drafts of which: what another condition said to the same prompts, or the same one under
another template.

This follows from the plan alone, whatever is there already and however many processes answer, so that a
resumed run checks the same drafts, in the same batches, as one that was not interrupted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from puretune.store import Store
from puretune.study.plan.steps import ANSWERS, AnswerStep, Plan, Who

POOL = 8
"""Shards that are asked together, and at most lost together."""

PROCESSES = 2
"""Pools take turns between this many processes, where there is a second one."""

Pool = list[AnswerStep]


def pools_of(steps: Sequence[AnswerStep]) -> list[Pool]:
    """The shards of each adapter and test template, in their order, at most ``POOL`` together."""
    together: dict[tuple[Who, str], Pool] = {}
    for step in {step.key: step for step in steps}.values():
        together.setdefault((step.who, step.test_template), []).append(step)
    return [shards[i : i + POOL] for shards in together.values() for i in range(0, len(shards), POOL)]


class Drafts:
    """The answers that have been given, for those that are like them."""

    def __init__(self, plan: Plan, store: Store, wanted: bool = True) -> None:
        """``wanted``: whether the engine can use any."""
        self._store = store
        self._wanted = wanted
        self._known: dict[str, list[dict[str, Any]]] = {}
        self._like: dict[str, str] = {}
        """Shard -> the one that it is probably like: of the same process, so that it is answered earlier."""
        self.turn: dict[str, int] = {}
        """Shard -> which of the processes answers it."""
        for turn in range(PROCESSES):
            self._pair(pools_of(plan.answer)[turn::PROCESSES], turn)
        self._uses = Counter(self._like.values())

    def _pair(self, pools: Sequence[Pool], turn: int) -> None:
        """The last shard before with the same prompts under the same template, else by the same adapter."""
        last: dict[tuple[object, str, int], str] = {}
        for step in (step for pool in pools for step in pool):
            ways = [(way, step.suite, step.first) for way in (step.test_template, step.who)]
            like = next((last[way] for way in ways if way in last), None)
            if like is not None:
                self._like[step.key] = like
            last.update(dict.fromkeys(ways, step.key))
            self.turn[step.key] = turn

    def of(self, step: AnswerStep) -> list[tuple[tuple[int, ...], ...]]:
        """For each prompt of a shard the draft of every sample; none if there is nothing like it."""
        rows = self._rows(self._like[step.key]) if self._wanted and step.key in self._like else []
        samples = len(rows) // step.prompts
        ids = [tuple(row["token_ids"]) for row in rows]
        return [tuple(ids[i * samples : (i + 1) * samples]) for i in range(step.prompts)]

    def remember(self, step: AnswerStep, rows: list[dict[str, Any]]) -> None:
        """What a shard was answered, perhaps before it is in the store, for as long as it is of use."""
        if self._wanted and self._uses[step.key]:
            self._known[step.key] = rows

    def _rows(self, key: str) -> list[dict[str, Any]]:
        self._uses[key] -= 1
        if key in self._known:
            return self._known[key] if self._uses[key] else self._known.pop(key)
        kept = self._store.get(ANSWERS, key)
        return kept.lines() if kept is not None else []
