"""What one rendering of a chat template may use: steps, characters, time. Whoever asks for more is stopped.

A chat template comes with a model, which anybody may have published. Jinja's sandbox keeps it from files and
from Python, but not from looping 10^10 times or from making a text of 100 gigabytes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

MOST_CHARACTERS = 1_000_000
"""Characters of a value that a template may make, and ten for each that it is given; an item counts as 10."""
_ITEM = 10
MOST_STEPS = 200_000
"""Calls and turns of loops; and one per character it is given."""
MOST_SECONDS = 10.0
_TIMES = 100
"""All that a template makes on its way may be this many times as large as the largest single value."""
_CONTAINERS: tuple[type, ...] = (
    list,
    tuple,
    set,
    frozenset,
    type({}.keys()),
    type({}.values()),
    type({}.items()),
)


class Exceeded(Exception):
    """A chat template uses more than it may; says what."""


class Budget:
    """What is left for one rendering. ``given``: the size of what goes in."""

    def __init__(self, given: int) -> None:
        self.largest = MOST_CHARACTERS + 10 * given
        self._left = _TIMES * self.largest
        self._steps = MOST_STEPS + given
        self._end = time.monotonic() + MOST_SECONDS

    def step(self, size: int = 1) -> None:
        """One step that makes ``size`` characters or items."""
        self._steps -= 1
        self._left -= size
        if self._steps < 0:
            raise Exceeded(f"it takes more than {MOST_STEPS:,} steps")
        if self._left < 0 or size > self.largest:
            raise Exceeded(f"it makes more than {MOST_CHARACTERS:,} characters")
        if time.monotonic() > self._end:
            raise Exceeded(f"it takes more than {MOST_SECONDS:.0f} seconds")

    def made(self, value: Any) -> Any:
        """The value, paid for."""
        self.step(len(value) if type(value) is str else measure(value, self.largest).size)
        return value


_CURRENT: ContextVar[Budget | None] = ContextVar("budget", default=None)


@contextmanager
def spending(budget: Budget) -> Iterator[None]:
    """A block in which this budget pays, in this thread alone."""
    token = _CURRENT.set(budget)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current() -> Budget:
    """The budget of the rendering under way; outside of one (where a template is compiled) a fresh one."""
    return _CURRENT.get() or Budget(0)


class Measure(NamedTuple):
    """How large a value is."""

    size: int
    """Characters, and ten for each item."""
    items: int
    depth: int


def measure(value: Any, most: int) -> Measure:
    """How large a value is; Exceeded for a size of more than ``most``.

    What is in a value twice counts twice, as it does for whoever writes it out.
    """
    size, items, depth, level = 0, 0, 0, [value]
    while level:
        below: list[Any] = []
        for item in level:
            size += _own_size(item)
            below += _inside(item)
            if size + _ITEM * len(below) > most:
                raise Exceeded(f"it makes more than {MOST_CHARACTERS:,} characters")
        items, depth, level = items + len(level), depth + 1, below
    return Measure(size, items, depth)


def _own_size(value: Any) -> int:
    if isinstance(value, int):
        return _ITEM + value.bit_length() // 3
    return _ITEM + len(value) if isinstance(value, str | bytes) else _ITEM


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return [part for pair in value.items() for part in pair]
    parts: Iterable[Any] = value.items if isinstance(value, Drawn) else value
    return parts if isinstance(parts, _CONTAINERS) else ()


class Drawn(Iterator[Any]):
    """What an iterator would give, drawn already: its size is known, and it is still used up once."""

    def __init__(self, iterator: Iterator[Any]) -> None:
        budget = current()
        self.items = []
        for item in iterator:
            budget.step()
            self.items.append(item)
        self._next = iter(self.items)

    def __next__(self) -> Any:
        return next(self._next)


class Counted:
    """What a loop goes over; each turn is a step."""

    def __init__(self, over: Any, size: int) -> None:
        self._over: Any = over if isinstance(over, Sized) else Drawn(iter(over))
        self._size = size

    def __len__(self) -> int:
        return length(self._over)

    def __iter__(self) -> Iterator[Any]:
        budget = current()
        for item in self._over:
            budget.step(self._size)
            yield item


def length(value: Any) -> int:
    """How many characters or items a value has; 1 for what has none."""
    if isinstance(value, Drawn):
        return len(value.items)
    return len(value) if isinstance(value, Sized) else 1
