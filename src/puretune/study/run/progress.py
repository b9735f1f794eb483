"""Progress of a run: what units have done, whoever does them, counted together by kind of work."""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock

from puretune.events import Advanced, Event, EventSink, Finished, Started, UnitBegan, UnitEnded
from puretune.study.plan.shards import suites_of
from puretune.study.plan.steps import Plan
from puretune.study.run.units import AnswerUnit, Unit
from puretune.visible import one_line

_COUNTED = {"write": "{:,} rows", "answer": "{:,} answers", "likelihoods": "{:,} shards", "score": ""}
"""Work that is counted here, and what is said at the end; tuners and judges speak for themselves."""


def here() -> str:
    """This process, as logs name it."""
    return f"{socket.gethostname()}, process {os.getpid()}"


class Progress:
    """Turns the events of units into those of the run. Safe for threads."""

    def __init__(self, plan: Plan, units: Sequence[Unit], on_event: EventSink) -> None:
        self._on_event = on_event
        self._works = [unit.work for unit in units]
        self._keys = [tuple(step.key for step in unit.steps) for unit in units]
        self._total: Counter[str] = Counter()
        for unit in units:
            self._total[unit.work] += _size(unit, plan)
        self._done: Counter[str] = Counter()
        self._of_unit = [0] * len(units)
        self._lock = Lock()

    def sink(self, number: int) -> EventSink:
        """Where the unit of that number sends its events."""

        def tell(event: Event) -> None:
            work = self._works[number]
            with self._lock:
                if isinstance(event, Advanced) and event.work == work and work in _COUNTED:
                    self._advance(number, event)
                else:
                    self._on_event(event)

        return tell

    @contextmanager
    def unit(self, number: int, worker: str) -> Iterator[EventSink]:
        """The sink of a unit while ``worker`` does it; says when it begins and how it ends."""
        work, keys = self._works[number], self._keys[number]
        began, error = time.monotonic(), ""
        self._tell(UnitBegan(number, work, keys, worker))
        try:
            yield self.sink(number)
        except BaseException as problem:
            error = f"{type(problem).__name__}: {one_line(problem)}"
            raise
        finally:
            self._tell(UnitEnded(number, work, keys, worker, time.monotonic() - began, error))

    def _tell(self, event: Event) -> None:
        with self._lock:
            self._on_event(event)

    def _advance(self, number: int, event: Advanced) -> None:
        work, total = event.work, self._total[event.work]
        if work not in self._done:
            self._on_event(Started(work, total))
        self._done[work] += event.done - self._of_unit[number]
        self._of_unit[number] = event.done
        self._on_event(Advanced(work, self._done[work], event.note))
        if self._done[work] == total:
            self._on_event(Finished(work, _COUNTED[work].format(total)))


def _size(unit: Unit, plan: Plan) -> int:
    """How many answers or shards a unit makes."""
    if not isinstance(unit, AnswerUnit):
        return len(unit.steps)
    suites = suites_of(plan)
    return sum(step.prompts * suites[step.suite].decoding.n for step in unit.steps)
