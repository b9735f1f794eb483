"""Answers, shard by shard: prompts are asked pool by pool, what comes back is published."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from puretune.data import Example
from puretune.errors import EnvironmentFault
from puretune.events import Advanced, Event, EventSink, Finished, Started, ignore
from puretune.inference import Answer, Engine, Request
from puretune.models import TunedModel
from puretune.store import Store
from puretune.study.plan.prompts import Prompts
from puretune.study.plan.resolve import ResolvedSuite
from puretune.study.plan.shards import shard_of, suites_of
from puretune.study.plan.steps import ANSWERS, AnswerStep, Plan, Who
from puretune.study.plan.tuning import stored_adapter
from puretune.study.run.processes import beside

POOL = 8
"""Shards that are asked together, and at most lost together."""

Pool = list[AnswerStep]

_WORTH_TWO_PROCESSES = 8
"""Pools from which on a second process is worth its start."""

_WRITERS = 4
"""Threads that publish: they wait for the disk, hardly for the processor."""


@dataclass(frozen=True)
class Answering:
    """How shards of a plan are asked: of which engine, with which prompts, into which store."""

    plan: Plan
    store: Store
    engine: Engine
    prompts: Prompts

    def answer(self, steps: Sequence[AnswerStep], on_event: EventSink, in_two: bool = False) -> None:
        """Ask pool by pool: the shards of one adapter under one test template share their batches.

        The shards of a pool are published in turn when all are done, so that a run that was
        killed asks the same pools again, in the same batches, as one that was not. ``in_two``: every other
        pool of the plan in a second process, if there are many.
        """
        suites, pools = suites_of(self.plan), pools_of(steps)
        asked = sum(step.prompts * suites[step.suite].decoding.n for pool in pools for step in pool)
        progress = _Progress(asked, on_event)
        if in_two and len(pools) >= _WORTH_TWO_PROCESSES:
            there = {step.key for pool in pools_of(self.plan.answer)[1::2] for step in pool}
            others = [pool for pool in pools if pool[0].key in there]
            with beside(lambda sink: self._ask(others, _Progress(0, sink)), progress.beside):
                self._ask([pool for pool in pools if pool[0].key not in there], progress)
            pools = [pool for pool in others if not all(self.store.has(ANSWERS, step.key) for step in pool)]
        self._ask(pools, progress)
        progress.finish(asked)

    def untuned(self, steps: Sequence[AnswerStep]) -> Iterator[None]:
        """Ask what needs no adapter that is tuned here, one pool for each item that is taken."""
        for pool in pools_of([step for step in steps if step.who.adapter is None]):
            self._ask([pool], _Progress(0, ignore))
            yield

    def _ask(self, pools: Iterable[Pool], progress: _Progress) -> None:
        suites = suites_of(self.plan)
        with publishing(self.store) as publish:
            for pool in pools:
                started = time.monotonic()
                requests = self._requests(pool, suites)
                answers = progress.watch(self.engine.generate(requests, progress.note), pool)
                each = (time.monotonic() - started) / sum(step.prompts for step in pool)
                for step, of_step in zip(pool, answers, strict=True):
                    rows = _rows(of_step, shard_of(step, suites), suites[step.suite].decoding.n)
                    publish(ANSWERS, step.key, rows, {"seconds": round(each * step.prompts, 3)})

    def _requests(self, pool: Pool, suites: Mapping[str, ResolvedSuite]) -> list[Request]:
        """All prompts of a pool."""
        adapter = adapter_of(self.plan, self.store, pool[0].who)
        return [
            request
            for place, step in enumerate(pool)
            for request in self.prompts.requests(step, adapter, suites[step.suite].decoding, place)
        ]


def pools_of(steps: Sequence[AnswerStep]) -> list[Pool]:
    """The shards of each adapter and test template, in their order, at most ``POOL`` together."""
    together: dict[tuple[Who, str], Pool] = {}
    for step in {step.key: step for step in steps}.values():
        together.setdefault((step.who, step.test_template), []).append(step)
    return [shards[i : i + POOL] for shards in together.values() for i in range(0, len(shards), POOL)]


@contextmanager
def publishing(store: Store) -> Iterator[Callable[..., None]]:
    """``put_lines`` that does not wait for the disk; all is published when the block ends without an error,
    and what was given away before an error as well."""
    with ThreadPoolExecutor(_WRITERS) as writers:
        under_way: list[Future[Any]] = []

        def publish(*content: Any) -> None:
            for one in [one for one in under_way if one.done()]:
                under_way.remove(one)
                one.result()
            under_way.append(writers.submit(store.put_lines, *content))

        yield publish
        for one in under_way:
            one.result()


class _Progress:
    def __init__(self, total: int, on_event: EventSink) -> None:
        self._done = self._beside = 0
        self._on_event = on_event
        on_event(Started("answer", total))

    def watch(self, answers: Iterable[Answer], pool: Sequence[AnswerStep]) -> list[list[Answer]]:
        """The answers of each shard of the pool."""
        who = pool[0].who
        name = who.condition if who.seed is None else f"{who.condition} seed {who.seed}"
        seen: list[list[Answer]] = [[] for _ in pool]
        for one in answers:
            place, _, number = one.key.partition("/")
            seen[int(place)].append(replace(one, key=number))
            self._done += 1
            suite = pool[int(place)].suite
            self._say(f"{name} -> {pool[0].test_template}, {suite}")
        return seen

    def beside(self, event: Event) -> None:
        """How far a second process is."""
        if isinstance(event, Advanced):
            self._beside = event.done
            self._say(event.note)

    def note(self, event: Event) -> None:
        """Pass on what the engine has to say; it counts only its own pool."""
        if isinstance(event, Advanced) and event.note:
            self._say(event.note)

    def finish(self, total: int) -> None:
        self._on_event(Finished("answer", f"{total:,} answers"))

    def _say(self, note: str) -> None:
        self._on_event(Advanced("answer", self._done + self._beside, note))


def adapter_of(plan: Plan, store: Store, who: Who) -> TunedModel | None:
    """Who answers, as the engine takes it: a tuned or an existing adapter; None: the base alone."""
    if who.adapter is None:
        return plan.resolved.conditions[who.condition].existing
    return stored_adapter(store, who.adapter)


def _rows(answers: Iterable[Answer], examples: Sequence[Example], n: int) -> list[dict[str, Any]]:
    """Answers as they are stored, in the order of the prompts whatever order they came in."""
    ordered = sorted(answers, key=lambda one: (int(one.key), one.sample))
    expected = [(number, sample) for number in range(len(examples)) for sample in range(n)]
    if [(int(one.key), one.sample) for one in ordered] != expected:
        raise EnvironmentFault("the engine did not return one answer per prompt and sample. Run again.")
    return [
        {
            "prompt_id": examples[int(one.key)].id,
            "sample": one.sample,
            "text": one.text,
            "token_ids": list(one.token_ids),
            "finish": one.finish,
            **({"reported": one.reported} if one.reported else {}),
            **({"note": one.note} if one.note else {}),
        }
        for one in ordered
    ]
