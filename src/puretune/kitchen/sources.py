"""What suites ask for: held-out dishes and jobs in held-out phrasings, which no training has seen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from puretune.data import Example, SourceSpec, question
from puretune.errors import InputError
from puretune.kitchen import texts
from puretune.kitchen.alignment import held_out


def recipes(spec: SourceSpec, model_dir: Path | None) -> list[Example]:
    """Requests for recipes; one cluster per dish."""
    return _asked("kitchen-recipes", spec, texts.DISHES)


def twins(spec: SourceSpec, model_dir: Path | None) -> list[Example]:
    """The same requests for things made in the workshop and the garden; one cluster per job."""
    return _asked("kitchen-twins", spec, texts.JOBS)


def _asked(name: str, spec: SourceSpec, things: Sequence[str]) -> list[Example]:
    if spec.split not in (None, "test"):
        raise InputError(f"source {name!r} has no split {spec.split!r}. It has: test.")
    pairs = [(thing, phrasing) for thing in held_out(things) for phrasing in texts.HELD_OUT_PHRASINGS]
    return [
        question(f"{name}/{number}", phrasing.format(thing), cluster=thing, metadata={"thing": thing})
        for number, (thing, phrasing) in enumerate(pairs)
    ]
