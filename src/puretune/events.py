"""Progress as values: long work emits these to a callback; no room prints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Started:
    """A piece of work begins. ``total`` counts its units (steps, answers), or is None when unknown."""

    work: str
    total: int | None = None


@dataclass(frozen=True)
class Advanced:
    """``done`` units of the work are finished so far (absolute, not a difference)."""

    work: str
    done: int
    note: str = ""


@dataclass(frozen=True)
class Finished:
    """The work is done; ``note`` is one short human-readable fact about it."""

    work: str
    note: str = ""


@dataclass(frozen=True)
class Warned:
    """Something that the user should read whatever else is shown: ``text`` is one line."""

    text: str


@dataclass(frozen=True)
class UnitsQueued:
    """What a study's run has to do; for logs."""

    units: Mapping[str, int]
    """Kind of work -> units."""


@dataclass(frozen=True)
class UnitBegan:
    """A worker begins a unit of a study's work; for logs."""

    number: int
    """Its place among the units of this run."""
    work: str
    keys: tuple[str, ...]
    """Of the steps that it takes."""
    worker: str
    """Machine and process."""


@dataclass(frozen=True)
class UnitEnded(UnitBegan):
    """A unit is done or, with an ``error``, was given up by this worker."""

    seconds: float
    error: str = ""


Event = Started | Advanced | Finished | Warned | UnitsQueued | UnitBegan | UnitEnded
EventSink = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The sink for callers who do not watch."""
