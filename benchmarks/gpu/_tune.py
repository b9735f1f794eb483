"""Tuning: five templates by three seeds at the shape, by puretune and by TRL, in slices of a few steps."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from benchmarks.gpu._floors import tune_floor, wait
from benchmarks.gpu._shape import examples, templates
from benchmarks.gpu.lengths import read
from benchmarks.speed import _trl
from benchmarks.speed._measure import alternate
from benchmarks.speed._steps import steps_of

from puretune.events import ignore
from puretune.models import BaseModel
from puretune.tuning import BUILTIN_TUNERS, Recipe, TrainingRow, TuningTask, tuner_named

EPOCHS, ROWS, SEEDS = 6, 7473, 3
"""The paper's study, for the extrapolation of the makespan."""


def measure(
    base: BaseModel, ceiling: dict[str, float], steps: int, repeats: int, item: dict[str, Any], save: Any
) -> None:
    """Adds runs, tokens, floors and the extrapolated makespan to ``item``."""
    made = _conditions(base, steps)
    counted = [steps_of(task, base) for task in made]
    item["work"] = {
        "adapters": len(made),
        "steps": steps,
        **{key: sum(one.tokens[key] for one in counted) for key in ("seen", "distinct", "trained")},
    }
    item["floor_seconds"] = tune_floor(base, item["work"]["seen"], ceiling)
    item["floor_seconds_without_shared"] = tune_floor(base, item["work"]["distinct"], ceiling)
    sides: dict[str, Callable[[], dict[str, Any]]] = {
        f"puretune, {name}": _ours(base, name, made) for name in BUILTIN_TUNERS if name in ("gang", "loop")
    }
    if _has_trl():
        one = counted[-1]  # one adapter, the longest prefix: its run is what fifteen repeat
        sides["TRL, defaults, 1 adapter"] = _theirs(base, one, _trl.Setting(dtype="bfloat16"))
        sides["TRL, tuned, 1 adapter"] = _theirs(base, one, _trl.Setting(tuned=True, dtype="bfloat16"))
        item["work"]["seen_by_one"] = one.tokens["seen"]
    else:
        item.setdefault("failed", {})["TRL"] = "not installed here"
    alternate(sides, repeats, item, save)
    item["makespan_hours"] = {name: _makespan(name, item, steps) for name in item["runs"]}


def _conditions(base: BaseModel, steps: int) -> list[TuningTask]:
    vocabulary = base.model.config.vocab_size
    recipe = Recipe(steps=steps, batch_size=4, dropout=0.0, epochs=EPOCHS, schedule="constant")
    rows = examples(read("train")[: steps * 4], vocabulary, answered=True)
    return [
        TuningTask(
            f"{template.name} seed {seed}",
            tuple(TrainingRow(row, template) for row in rows),
            recipe,
            seed,
            base.path / "adapters" / f"{template.name.replace(':', '-')}-{seed}",
        )
        for template in templates(vocabulary)
        for seed in range(SEEDS)
    ]


def _ours(base: BaseModel, name: str, made: list[TuningTask]) -> Callable[[], dict[str, Any]]:
    def run() -> dict[str, Any]:
        tuner = tuner_named(name).open(base)
        out = base.path / "runs"
        started = time.perf_counter()
        asked = [replace(one, out=out / one.out.name) for one in made]
        adapters = list(tuner.tune(asked, ignore))
        wait(base.device)
        taken = time.perf_counter() - started
        shutil.rmtree(out)
        return {"seconds": taken, "adapters": len(adapters)}

    return run


def _theirs(base: BaseModel, one: Any, setting: _trl.Setting) -> Callable[[], dict[str, Any]]:
    def run() -> dict[str, Any]:
        started = time.perf_counter()
        _trl.train(one, base, setting, base.path / "trl", model=base.model)
        wait(base.device)
        return {"seconds": time.perf_counter() - started, "adapters": 1}

    return run


def _has_trl() -> bool:
    from importlib.util import find_spec

    return find_spec("trl") is not None


def _makespan(name: str, item: dict[str, Any], steps: int) -> float:
    """Hours for all fifteen adapters of the paper's study, by the steps of it that were measured."""
    run = min(item["runs"][name], key=lambda one: float(one["seconds"]))
    whole = EPOCHS * ROWS / 4 / steps
    return round(run["seconds"] * whole * item["work"]["adapters"] / run["adapters"] / 3600, 3)
