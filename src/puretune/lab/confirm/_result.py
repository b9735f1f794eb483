"""The result of an attempt as one JSON value: what was frozen, every count, every claim's verdict."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from puretune.errors import InputError
from puretune.files import read_mapping
from puretune.lab.confirm._analysis import Rows, Summary, findings, summary
from puretune.lab.confirm._frozen import Frozen
from puretune.lab.confirm._run import check_unit
from puretune.visible import one_line, visible

SCHEMA_VERSION = 1
_SECONDARY = (
    ("asr", "CL -> CL minus CV -> CL"),
    ("asr", "CL -> CL minus CV -> neutral"),
    ("asr", "CV -> neutral minus CV -> CL"),
    ("non-refusal", "CV -> neutral minus CV -> CL"),
    ("log-odds", "untuned -> CV"),
    ("log-odds", "untuned -> CL"),
    ("log-odds", "CV -> CL"),
    ("log-odds", "CL -> CL"),
    ("log-odds", "CV -> CV"),
    ("log-odds", "CV -> neutral"),
    ("log-odds", "CL -> CL minus CV -> CL"),
    ("log-odds", "CV -> neutral minus CV -> CL"),
    ("asr", "untuned -> sure-vanilla"),
    ("asr", "untuned -> sure-llama"),
    ("asr", "CV -> sure-llama"),
    ("asr", "untuned -> TV"),
    ("asr", "untuned -> TA"),
    ("asr", "untuned -> neutral"),
    ("twins", "untuned -> neutral"),
)
"""Without thresholds: the control (neutral prompt), graded refusal, prefilled first words, text formats."""
_CELLS = ("CV -> CV", "CV -> CL", "CV -> neutral", "CL -> CL", "CL -> CV", "untuned -> CV", "untuned -> CL")
_EVERYWHERE = ("asr", "non-refusal", "incoherent", "helpfulness", "twins")


def result(frozen: Frozen, units: Rows) -> dict[str, Any]:
    """The attempt's result; ``complete`` says whether every arm that a claim is about has all its seeds."""
    done = {arm: sum(unit["arm"] == arm for unit in units) for arm in frozen.recipe["arms"]}
    asked = {arm: frozen.seeds_of(arm) for arm in done}
    claimed = {arm for claim in frozen.claims for arm in claim["arms"]}
    return {
        "schema_version": SCHEMA_VERSION,
        "attempt": frozen.attempt,
        "frozen": frozen.digest,
        "complete": all(done[arm] == asked[arm] for arm in claimed),
        "model_seeds": {arm: {"done": done[arm], "asked": asked[arm]} for arm in done},
        "claims": [{**asdict(found), "holds": found.holds} for found in findings(frozen, units)],
        "summaries": [asdict(one) for arm in done if done[arm] for one in _summaries(frozen, arm, units)],
        "command": f"puretune lab confirm --attempt {frozen.attempt}",
        "machine": {"cpu": _cpu(), "cores": os.cpu_count()},
        "versions": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in ("puretune", "torch", "transformers", "peft")},
        },
        "units": [_compact(unit) for unit in units],
    }


def _summaries(frozen: Frozen, arm: str, units: Rows) -> Iterator[Summary]:
    """Of the cells that the attempt has."""
    studies = frozen.recipe["studies"]
    asked = {pair for study in studies.values() for pair in study["pairs"]}
    graded = set(studies[frozen.recipe["log_odds"]["study"]]["pairs"])
    everywhere = [(measure, cell) for measure in _EVERYWHERE for cell in _CELLS]
    for measure, cell in [*everywhere, *_SECONDARY]:
        if set(cell.split(" minus ")) <= (graded if measure == "log-odds" else asked):
            yield summary(units, arm, measure, cell)


def result_text(value: Mapping[str, Any]) -> str:
    """The result as JSON text, one line a unit."""
    head = json.dumps({**value, "units": []}, indent=1, ensure_ascii=False, allow_nan=False)
    rows = ",\n  ".join(json.dumps(unit, ensure_ascii=False) for unit in value["units"])
    return head.removesuffix("[]\n}") + f"[\n  {rows}\n ]\n}}\n"


def load_result(path: Path, frozen: Frozen) -> dict[str, Any]:
    """A result file, analysed again from its counts; CheckFailed if it is of another frozen file."""
    value, units = _read(path)
    for unit in units:
        check_unit(unit, frozen)
    again = result(frozen, units)
    return {**again, **{key: value[key] for key in ("command", "machine", "versions")}}


def units_of(path: Path) -> list[dict[str, Any]]:
    """The units in a result file; an incomplete result can be completed from them."""
    return _read(path)[1]


def _read(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    value = read_mapping(path, "result of `puretune lab confirm`")
    try:
        return value, [_expanded(unit, value["frozen"]) for unit in value["units"]]
    except (ValueError, KeyError, TypeError) as error:
        reason = f"no {one_line(error)}" if isinstance(error, KeyError) else one_line(error)
        raise InputError(f"{visible(path)}: not a result of `puretune lab confirm` ({reason}).") from None


_COLUMNS = ("cell", "seed", "suite", "n", "right", "refused", "incoherent", "empty")


def _compact(unit: Mapping[str, Any]) -> dict[str, Any]:
    """Rows as lists, in the order of ``_COLUMNS``."""
    rest = {key: value for key, value in unit.items() if key not in ("frozen", "cells")}
    return {**rest, "cells": [[row[column] for column in _COLUMNS] for row in unit["cells"]]}


def _expanded(unit: Mapping[str, Any], digest: str) -> dict[str, Any]:
    cells = [dict(zip(_COLUMNS, row, strict=True)) for row in unit["cells"]]
    return {**unit, "frozen": digest, "cells": cells}


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
