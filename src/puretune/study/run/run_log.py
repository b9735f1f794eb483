"""``log.jsonl`` of a run directory: what was done when, by which worker, and how long it took.

    {"time": "2026-11-28T10:00:00.123Z", "event": "run", "plan": "1f0c...", "worker": "box, process 812"}
    {"time": "...", "event": "queued", "units": {"tune": 2, "answer": 8}}
    {"time": "...", "event": "began", "unit": 3, "work": "answer", "keys": ["ab12..."], "worker": "..."}
    {"time": "...", "event": "ended", "unit": 3, "work": "answer", ..., "seconds": 4.2}
    {"time": "...", "event": "progress", "work": "answer", "done": 120, "total": 480}
    {"time": "...", "event": "over", "error": ""}

Runs that resume append; ``puretune status`` reads the last one. Nothing is true because the log says so: what
is done is in the store. Prompts, answers and options (keys of endpoints) never reach it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import IO, Any

from puretune.events import (
    Advanced,
    Event,
    EventSink,
    Finished,
    Started,
    UnitBegan,
    UnitEnded,
    UnitsQueued,
    Warned,
)
from puretune.store import faults
from puretune.study.run.progress import here
from puretune.visible import one_line

LOG = "log.jsonl"
_EVERY = 2.0
"""Seconds between two lines about the progress of one kind of work."""


@contextmanager
def run_log(out: Path, plan: str, on_event: EventSink) -> Iterator[EventSink]:
    """A sink that writes the log of ``out`` while the block runs, and passes on all but the units' events.

    EnvironmentFault if the log cannot be written.
    """
    with faults(out / LOG), (out / LOG).open("a", encoding="utf-8") as file:
        log = _Log(file, on_event)
        log.write("run", plan=plan, worker=here())
        try:
            yield log
        except BaseException as error:
            log.write("over", error=f"{type(error).__name__}: {one_line(error)}")
            raise
        log.write("over", error="")


class _Log:
    """Safe for threads."""

    def __init__(self, file: IO[str], on_event: EventSink) -> None:
        self._file, self._on_event = file, on_event
        self._totals: dict[str, int | None] = {}
        self._last: dict[str, float] = {}
        self._lock = Lock()

    def __call__(self, event: Event) -> None:
        if isinstance(event, UnitBegan):
            self._unit(event)
            return
        if isinstance(event, UnitsQueued):
            self.write("queued", units=dict(event.units))
            return
        if isinstance(event, Started):
            self._totals[event.work] = event.total
        elif isinstance(event, Advanced) and time.monotonic() - self._last.get(event.work, 0.0) > _EVERY:
            self._last[event.work] = time.monotonic()
            self.write("progress", work=event.work, done=event.done, total=self._totals.get(event.work))
        elif isinstance(event, Finished):
            self.write("finished", work=event.work, note=one_line(event.note))
        elif isinstance(event, Warned):
            self.write("warned", text=one_line(event.text, 2000))
        self._on_event(event)

    def write(self, event: str, **facts: Any) -> None:
        """One line, written at once: a killed run's log ends with a whole line."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        with self._lock:
            self._file.write(json.dumps({"time": now, "event": event, **facts}) + "\n")
            self._file.flush()

    def _unit(self, event: UnitBegan) -> None:
        facts = {"unit": event.number, "work": event.work, "keys": event.keys, "worker": event.worker}
        if isinstance(event, UnitEnded):
            ended = {"seconds": round(event.seconds, 3)} | ({"error": event.error} if event.error else {})
            self.write("failed" if event.error else "ended", **facts, **ended)
        else:
            self.write("began", **facts)
