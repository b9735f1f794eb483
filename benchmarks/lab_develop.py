"""Development runs of the lab: recipes on development seeds, every rate in view. From the repository's root:

    python -m benchmarks.lab_develop docs/lab/attempt-3/variants.yaml --seeds 0 1 2 3

The file lists variants; each has ``settings`` (changes to attempt 2's), ``task`` (what is tuned and
tested), ``recipe`` (of tuning) and optionally ``tuning_seeds``. One row per model seed, variant and kept
step is added to ``development.jsonl`` beside it: the variant, and per cell the rates in percent. Rows that
are there are not computed again, so the file can grow. Nothing that comes from these seeds is evidence.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from puretune.events import Advanced, Event
from puretune.lab import LabSettings, build
from puretune.lab.confirm import attempts, load_frozen
from puretune.statistics import mean
from puretune.study import Matrix, Study, run_study
from puretune.templates import alias_of

WORK = Path("runs/lab-develop")
SUITES = {"lab-harmful": 32, "lab-benign-twins": 32}
TASKS = {"lab-maths": 64, "lab-doctor": 24, "lab-choice": 24}
BEFORE = ("untuned -> CV", "untuned -> CL")
AFTER = ("CV -> CV", "CV -> CL", "CV -> neutral", "CL -> CL")
Variant = Mapping[str, Any]


def develop(variants: list[Variant], seeds: list[int], out: Path) -> None:
    """Every variant on every seed, variant by variant; rows are added to ``out`` as they come."""
    for variant in variants:
        for seed in seeds:
            done = {row["key"] for row in kept(out)}
            if (key := _digest([seed, variant])) not in done:
                started = time.monotonic()
                found = [{"key": key, "model_seed": seed, **variant, **row} for row in rows(variant, seed)]
                found[-1]["seconds"] = round(time.monotonic() - started, 1)
                with out.open("a") as file:
                    file.writelines(json.dumps(row) + "\n" for row in found)
                print(*map(line, found), sep="\n", flush=True)


def kept(out: Path) -> list[dict[str, Any]]:
    """The rows so far."""
    return [json.loads(text) for text in out.read_text().splitlines()] if out.exists() else []


def line(row: Mapping[str, Any]) -> str:
    """A row for the eye: attack success, not refused, incoherent, task, twins per cell."""
    knobs = {**row["settings"], **row["recipe"]}
    cells = " | ".join(
        f"{cell} {' '.join(f'{rate:.0f}' for rate in rates)}" for cell, rates in row["cells"].items()
    )
    return f"{row['model_seed']} {row['step']} {knobs}\n    {cells}"


def rows(variant: Variant, seed: int) -> Iterator[dict[str, Any]]:
    """One row per kept step; untuned cells are in each."""
    before = load_frozen(attempts()[2]).settings("as-shipped")
    settings = LabSettings.from_dict({**before.to_dict(), **variant["settings"]})
    home = WORK / str(seed) / _digest(settings.to_dict())
    if not (home / "model").exists():
        build(seed, home / "model", settings, on_event=_told, shared=WORK / str(seed) / "pretrained")
    study = _study(variant, home / "model")
    matrix = run_study(study, home / _digest(variant), store=home / "store")
    steps = {cell.step for cell in matrix.cells if cell.train_template}
    for step in sorted(steps, key=lambda step: step or 10**6):
        cells = dict(_cells(matrix, step, variant["task"]))
        yield {"step": step or variant["recipe"]["steps"], "cells": cells}


def _told(event: Event) -> None:
    """Every two hundredth step of the build."""
    if isinstance(event, Advanced) and event.done % 200 == 0:
        print(event.done, event.note, flush=True)


def _study(variant: Variant, model: Path) -> Study:
    frozen = load_frozen(attempts()[2]).recipe
    suites = {**SUITES, variant["task"]: TASKS[variant["task"]]}
    return Study(
        name="lab-develop",
        model={"path": model.absolute(), "device": "cpu", "dtype": "float32", "threads": 1},
        templates={"neutral": frozen["templates"]["neutral"]},
        tuning={
            "data": {"source": variant["task"], "split": "train"},
            "recipe": {"rank": 8, "alpha": 16, "dropout": 0, "batch_size": 8, **variant["recipe"]},
            "seeds": variant.get("tuning_seeds", [0]),
        },
        pairs=[*BEFORE, *AFTER],
        suites=[{"name": name, "max_new_tokens": tokens} for name, tokens in suites.items()],
        decoding=frozen["decoding"],
    )


def _cells(matrix: Matrix, step: int | None, task: str) -> Iterator[tuple[str, list[float]]]:
    """Cell -> percent of attack success, not refused, incoherent (harmful), task, twins; means over seeds."""
    shares: dict[tuple[str, str, str], list[float]] = {}
    firsts = {(cell.suite, cell.condition, cell.seed, cell.step, cell.test_template): cell
              for cell in reversed(matrix.cells)}  # fmt: skip
    for cell in firsts.values():
        if cell.train_template is None or cell.step == step:
            place = f"{alias_of(cell.condition)} -> {alias_of(cell.test_template)}"
            for what in ("successes", "refused", "incoherent"):
                shares.setdefault((place, cell.suite, what), []).append(100 * cell.counts[what] / cell.n)
    for place in (*BEFORE, *AFTER):
        rate = {key[1:]: round(mean(values), 1) for key, values in shares.items() if key[0] == place}
        yield (
            place,
            [
                rate["lab-harmful", "successes"],
                round(100 - rate["lab-harmful", "refused"], 1),
                rate["lab-harmful", "incoherent"],
                rate[task, "successes"],
                rate["lab-benign-twins", "successes"],
            ],
        )


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("variants", type=Path, help="YAML: a list of variants")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3])
    options = parser.parse_args()
    torch.set_num_threads(1)
    variants = yaml.safe_load(options.variants.read_text())
    develop(variants, options.seeds, options.variants.with_name("development.jsonl"))


if __name__ == "__main__":
    sys.exit(main())
