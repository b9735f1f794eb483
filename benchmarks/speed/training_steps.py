"""CPU time of one optimiser step of the demo's five adapters, with each mechanism of the gang and without.

    PYTHONPATH=src python -m benchmarks.speed.training_steps

Processor seconds of one thread, so that the figures mean something on a machine that does other things too;
`make bench` measures wall-clock. Sides take turns; each figure is the median over all steps of all rounds.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.speed._matrix import base_model, matrix, tasks

from puretune.events import Advanced, Event
from puretune.models import BaseModel
from puretune.tuning import GangOptions, GangTuner, LoopTuner, Tuner, TuningTask

RESULTS = Path(__file__).parents[1] / "results" / "training-steps.json"
_OFF = {"pack": False, "share_prefix": False, "last_layer": False, "head": False}
SIDES: Mapping[str, tuple[str, dict[str, Any]]] = {
    "loop": ("float32", {}),
    "+ gang": ("float32", _OFF),
    "+ packing": ("float32", {**_OFF, "pack": True}),
    "+ prefix": ("float32", {**_OFF, "pack": True, "share_prefix": True}),
    "+ head": ("float32", {**_OFF, "pack": True, "share_prefix": True, "head": True}),
    "+ last layer": ("float32", {"pack": True}),
    "+ bf16": ("bfloat16", {}),
    "(the gang one by one)": ("float32", {"together": 1}),
    "(fused attention)": ("float32", {"attention": "sdpa"}),
}
"""Number format and options; each of the first seven has all that stand above it."""


@dataclass
class _Clock:
    """Processor seconds of each step, told by the tuner's events; the first step of a training warms up."""

    last: float | None = None

    def __post_init__(self) -> None:
        self.steps: list[float] = []

    def __call__(self, event: Event) -> None:
        now = time.process_time()
        if isinstance(event, Advanced) and self.last is not None:
            self.steps.append(now - self.last)
        self.last = now if isinstance(event, Advanced) else None


def measure(rounds: int, steps: int, seeds: tuple[int, ...]) -> dict[str, float]:
    """Milliseconds per step of all adapters, by side."""
    made = matrix(steps=steps)
    bases = {dtype: base_model(made, dtype) for dtype in ("float32", "bfloat16")}
    taken: dict[str, list[float]] = {name: [] for name in SIDES}
    for _ in range(rounds):
        for name, (dtype, options) in SIDES.items():
            with tempfile.TemporaryDirectory() as scratch:
                jobs = tasks(made, Path(scratch), seeds)
                taken[name] += _steps(name, bases[dtype], jobs, options)
    return {name: round(1000 * median(found), 1) for name, found in taken.items()}


def _steps(name: str, base: BaseModel, jobs: list[TuningTask], options: dict[str, Any]) -> Iterator[float]:
    """Seconds of each step of all jobs; the loop's steps are added up over its jobs."""
    clock = _Clock()
    tuner: Tuner = LoopTuner(base) if name == "loop" else GangTuner(base, GangOptions(**options))
    for _ in tuner.tune(jobs, clock):
        pass
    together = len(jobs) if name == "loop" else 1
    each = len(clock.steps) // together
    return (sum(clock.steps[step::each]) for step in range(each))


def main() -> None:
    """Prints a table and writes the JSON."""
    found = measure(rounds=1, steps=7, seeds=(0,))
    RESULTS.write_text(json.dumps({"milliseconds": found}, indent=1) + "\n", encoding="utf-8")
    for name, taken in found.items():
        print(f"{name:24} {taken:8.1f} ms   loop / this: {found['loop'] / taken:.2f}")


if __name__ == "__main__":
    main()
