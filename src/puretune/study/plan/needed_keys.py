"""Which objects of a store a finished run needs: those that its ``plan.json`` names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from puretune.errors import InputError
from puretune.files import read_mapping
from puretune.study.plan.steps import ADAPTER, ANSWERS, KINDS, VERDICTS, TuneStep
from puretune.visible import visible

PLANNED = (ADAPTER, ANSWERS, VERDICTS)
"""The kinds of objects whose keys are in a plan."""

_ALWAYS = ("answer", "cell")
"""The kinds of steps that no plan is without; others may be newer than a plan."""


def needed_keys(run: Path) -> set[str]:
    """The keys of a run's adapters, answers and verdicts; InputError where it has no plan."""
    file = run / "plan.json"
    if run.is_dir() and not file.exists():
        raise InputError(
            f"{visible(run)} has no plan.json: it is no finished run. Finish it, or name another."
        )
    plan = read_mapping(file, "plan")
    try:
        rows = [
            (kind, row) for kind in KINDS for row in (plan[kind] if kind in _ALWAYS else plan.get(kind, []))
        ]
        return {key for kind, row in rows for key in _keys(kind, row)}
    except (KeyError, TypeError, AttributeError):
        raise InputError(f"{visible(file)}: this is not the plan of a run. Name a run directory.") from None


def _keys(kind: str, row: dict[str, Any]) -> Iterator[str]:
    yield row["key"]
    yield from row["needs"]
    if kind == "tune":
        tune = TuneStep(row["key"], row["condition"], row["seed"], {}, tuple(row["kept"]))
        yield from map(tune.adapter_key, tune.kept)
