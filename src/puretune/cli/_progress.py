"""Progress on stderr: bars on a terminal, plain lines anywhere else; ``NO_COLOR`` is honoured by rich."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from puretune.cli._output import new_console, say
from puretune.events import Advanced, Event, EventSink, Finished, Started, Warned
from puretune.names import spoken_time
from puretune.visible import visible

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_QUIET_SECONDS = 5.0
"""Seconds between two lines about one piece of work, if there is no terminal."""


@contextmanager
def progress(quiet: bool = False) -> Iterator[EventSink]:
    """A sink that draws events while the block runs; ``quiet`` shows warnings only."""
    if quiet:
        yield _warnings
    elif sys.stderr.isatty():
        with _bars() as bars:
            yield _Bars(bars)
    else:
        yield _Lines()


@contextmanager
def aside(sink: EventSink | None) -> Iterator[None]:
    """Bars step aside while the block asks the user something."""
    if not isinstance(sink, _Bars):
        yield
        return
    sink.bars.stop()
    try:
        yield
    finally:
        sink.bars.start()


def _warnings(event: Event) -> None:
    if isinstance(event, Warned):
        say(event.text, err=True)


def _bars() -> Progress:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    # Text from studies and models is shown as it is, never read as rich's markup.
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False, style="dim"),
        console=new_console(stderr=True),
    )


class _Bars:
    """One bar per piece of work under way; what is done stays as a line above."""

    def __init__(self, bars: Progress) -> None:
        self.bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, event: Event) -> None:
        if isinstance(event, Started):
            self._tasks[event.work] = self.bars.add_task(visible(event.work), total=event.total, note="")
        elif isinstance(event, Warned):
            self.bars.console.print(visible(event.text), markup=False, highlight=False)
        elif isinstance(event, Advanced | Finished) and event.work in self._tasks:
            self._show(event)

    def _show(self, event: Advanced | Finished) -> None:
        task = self._tasks[event.work]
        if isinstance(event, Advanced):
            self.bars.update(task, completed=event.done, note=visible(event.note))
            return
        seconds = self.bars.tasks[self.bars.task_ids.index(task)].elapsed or 0.0
        self.bars.remove_task(self._tasks.pop(event.work))
        self.bars.console.print(_done(event, seconds), markup=False, highlight=False)


class _Lines:
    """One line when work starts, one when it ends, and one every few seconds between."""

    def __init__(self) -> None:
        self._totals: dict[str, int | None] = {}
        self._begun: dict[str, float] = {}
        self._said: dict[str, float] = {}
        self._first: dict[str, tuple[int, float]] = {}
        """Units done, and when, as a piece of work first said so: a resumed one does not start at 0."""

    def __call__(self, event: Event) -> None:
        now = time.monotonic()
        if isinstance(event, Warned):
            self._print(event.text)
        elif isinstance(event, Started):
            self._totals[event.work] = event.total
            self._begun[event.work] = self._said[event.work] = now
            self._first.pop(event.work, None)
            self._print(
                f"{event.work} ..." if event.total is None else f"{event.work}: {event.total:,} to do"
            )
        elif isinstance(event, Finished):
            self._print(_done(event, now - self._begun.get(event.work, now)))
        elif isinstance(event, Advanced):
            self._advance(event, now)

    def _advance(self, event: Advanced, now: float) -> None:
        first = self._first.setdefault(event.work, (event.done, now))
        if now - self._said.get(event.work, 0.0) >= _QUIET_SECONDS:
            self._said[event.work] = now
            total = self._totals.get(event.work)
            self._print(_under_way(event, total) + _left(event.done, total, first, now))

    def _print(self, line: str) -> None:
        say(line, err=True)


def _done(event: Finished, seconds: float) -> str:
    note = f" ({event.note})" if event.note else ""
    return f"{event.work}: done in {seconds:.1f} s{note}"


def _left(done: int, total: int | None, first: tuple[int, float], now: float) -> str:
    """How long the rest will take at the rate so far; empty while nothing is known of it."""
    units, seconds = done - first[0], now - first[1]
    if total is None or units < 1 or done >= total:
        return ""
    return f", about {spoken_time(seconds / units * (total - done))} left"


def _under_way(event: Advanced, total: int | None) -> str:
    share = f"{event.done:,}" if total is None else f"{event.done:,} of {total:,}"
    return f"{event.work}: {share}" + (f", {event.note}" if event.note else "")
