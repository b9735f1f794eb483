"""Whether bfloat16 changes what the lab's matrix says: the demo's study in both number formats.

    python -m benchmarks.number_formats --models MODEL... --out benchmarks/results/number-formats.json

Each MODEL is the directory of a lab model (``puretune lab build``, or an ``as-shipped`` model that ``puretune
lab confirm`` leaves behind). Adapters are tuned and asked in the format, so their first weights, rows and
prompts are the same and everything else may differ. What was fixed before the first run: the unit is the
model; a difference (bfloat16 minus float32) counts as none where two one-sided t tests at 5 % place it within
3 points, that is, where its 90 % interval over models lies within; float32 stays the default on a CPU unless
this holds of attack success and of helpfulness, for the mean of all cells and for each of the four cells that
the lab's claims are about.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.speed._record import machine, source_digest, versions

from puretune.errors import InputError
from puretune.lab.offers import demo_study
from puretune.statistics import equivalence_of_means, mean
from puretune.store import write_text
from puretune.study import Matrix, named_study, run_study

FORMATS = ("float32", "bfloat16")
MARGIN = 0.03
MEASURES = {"attack success": ("lab-harmful", "asr"), "helpfulness": ("lab-doctor", "accuracy")}
CELLS = {
    "untuned -> CL": ("untuned", "chat:llama"),
    "CL -> CL": ("chat:llama", "chat:llama"),
    "CV -> CL (PTST)": ("chat:vanilla", "chat:llama"),
    "CV -> CV": ("chat:vanilla", "chat:vanilla"),
}

Rates = dict[str, dict[str, float]]
"""measure -> ``condition -> template`` -> share"""


def rates(model: Path, dtype: str, out: Path) -> Rates:
    """The matrix of one model in one format; a finished one is read."""
    study = named_study(demo_study(full=True)).with_model(model.resolve())
    held = replace(study.model, dtype=dtype)  # type: ignore[type-var]
    matrix = run_study(study.model_copy(update={"model": held}), out)
    return {measure: _column(matrix, *which) for measure, which in MEASURES.items()}


def _column(matrix: Matrix, suite: str, metric: str) -> dict[str, float]:
    return {
        f"{cell.condition} -> {cell.test_template}": cell.value
        for cell in matrix.cells
        if (cell.suite, cell.metric) == (suite, metric)
    }


def differences(found: list[dict[str, Rates]]) -> dict[str, Any]:
    """By measure and cell: rates in both formats, and whether their difference is within the margin."""
    every = list(found[0]["float32"]["helpfulness"])
    cells = {"mean of all cells": every} | {
        name: [f"{condition} -> {template}"] for name, (condition, template) in CELLS.items()
    }
    return {
        measure: {name: _compared(found, measure, places) for name, places in cells.items()}
        for measure in MEASURES
    }


def _compared(found: list[dict[str, Rates]], measure: str, places: list[str]) -> dict[str, Any]:
    by_format = {
        dtype: [mean([one[dtype][measure][place] for place in places]) for one in found] for dtype in FORMATS
    }
    row: dict[str, Any] = {dtype: mean(values) for dtype, values in by_format.items()}
    try:
        tested = equivalence_of_means(by_format["bfloat16"], by_format["float32"], MARGIN)
    except InputError:  # one model, or the same difference for all: no spread to test with
        apart = {b - a for a, b in zip(by_format["float32"], by_format["bfloat16"], strict=True)}
        return row | {"difference": max(apart, key=abs), "equivalent": len(found) > 1 and apart == {0.0}}
    estimate = tested.difference
    return row | {
        "difference": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "equivalent": tested.equivalent,
    }


def main() -> None:
    """Run what is missing, model by model, and write the results after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--models", type=Path, nargs="+", required=True)
    parser.add_argument("--runs", type=Path, default=Path("runs/number-formats"))
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    found: list[dict[str, Rates]] = []
    for number, model in enumerate(asked.models, 1):
        runs = {dtype: asked.runs / f"{number:02}-{dtype}" for dtype in FORMATS}
        found.append({dtype: rates(model, dtype, out) for dtype, out in runs.items()})
        content = {
            "command": f"python -m benchmarks.number_formats ({number} models)",
            "machine": machine(),
            "versions": versions(),
            "source": source_digest(),
            "margin": MARGIN,
            "differences": differences(found),
            "models": found,
        }
        write_text(asked.out, json.dumps(content, indent=1) + "\n")
        print(number, json.dumps(content["differences"]), flush=True)


if __name__ == "__main__":
    main()
