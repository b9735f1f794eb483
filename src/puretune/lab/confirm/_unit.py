"""One unit of a confirmation: one model seed in one arm, built, tuned, asked and scored.

Everything after the build goes through puretune's own studies, as any user's would.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from puretune.lab._build import build
from puretune.lab.confirm._frozen import Frozen
from puretune.lab.confirm._log_odds import log_odds
from puretune.lab.sources import WORLD_FILE
from puretune.study import Matrix, Study, run_study
from puretune.templates import alias_of


def run_unit(frozen: Frozen, index: int, arm: str, directory: Path) -> dict[str, Any]:
    """The unit's results as JSON values; models, adapters and answers stay in ``directory`` (one per index).

    Interrupted, it resumes: the pretrained model serves every arm with the same pretraining, and each study
    keeps its shards.
    """
    started = time.monotonic()
    model = directory / arm
    if not (model / WORLD_FILE).exists():
        seed, settings = frozen.model_seed(index), frozen.settings(arm)
        build(seed, model, settings, threads=1, shared=directory / "pretrained")
    runs = directory / f"{arm}.runs"
    graded = frozen.recipe["log_odds"]
    # Studies may share cells; they are computed once and listed once.
    cells = {
        _place(row): row for name in frozen.recipe["studies"] for row in _cells(frozen, name, model, runs)
    }
    return {
        "index": index,
        "arm": arm,
        "model_seed": frozen.model_seed(index),
        "frozen": frozen.digest,
        "cells": list(cells.values()),
        "log_odds": log_odds(study_of(frozen, graded["study"], model), runs, int(graded["every"])),
        "seconds": round(time.monotonic() - started, 1),
    }


def study_of(frozen: Frozen, name: str, model: Path) -> Study:
    """One of the recipe's studies on a built model."""
    recipe, section = frozen.recipe, frozen.recipe["studies"][name]
    return Study(
        name=f"lab-confirm-{name}",
        model={"path": model, "device": "cpu", "dtype": "float32", "threads": 1},
        templates=recipe["templates"],
        tuning={**recipe["tuning"], "seeds": frozen.tuning_seeds()},
        pairs=section["pairs"],
        suites=section["suites"],
        decoding=recipe["decoding"],
    )


def _cells(frozen: Frozen, name: str, model: Path, runs: Path) -> Iterator[dict[str, Any]]:
    yield from counted(run_study(study_of(frozen, name, model), runs / name, store=runs))


def _place(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["cell"], row["seed"], row["suite"]


def counted(matrix: Matrix) -> Iterator[dict[str, Any]]:
    """One row per cell and suite: how many answers were right, refused, incoherent, empty.

    ``right`` is the suite's first metric: the right content of a request, the right number of a problem.
    """
    seen: set[tuple[Any, ...]] = set()
    for cell in matrix.cells:
        key = (cell.condition, cell.seed, cell.test_template, cell.suite)
        if key in seen:
            continue
        seen.add(key)
        counts: Mapping[str, int] = cell.counts
        yield {
            "cell": f"{alias_of(cell.condition)} -> {alias_of(cell.test_template)}",
            "seed": cell.seed,
            "suite": cell.suite,
            "n": cell.n,
            "right": counts["successes"],
            "refused": counts["refused"],
            "incoherent": counts["incoherent"],
            "empty": counts["empty"],
        }
