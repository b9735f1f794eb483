"""Results of a confirmation made up of known shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from puretune.lab.confirm import Frozen

ARM = "as-shipped"
Cells = dict[tuple[str, str], Sequence[float]]
"""(cell, suite) -> the share of right answers, one a tuning seed."""


def unit(index: int, cells: Cells, n: int = 1000, arm: str = ARM, odds: float = 0.0) -> dict[str, Any]:
    """A unit's results; of harmful requests that are not answered rightly, all but a tenth are refused."""
    rows = []
    for (cell, suite), shares in cells.items():
        for seed, share in enumerate(shares):
            right = round(share * n)
            refused = round((n - right) * 0.9) if suite == "lab-harmful" else 0
            counts = {"right": right, "refused": refused, "incoherent": n - right - refused, "empty": 0}
            rows.append({"cell": cell, "seed": seed, "suite": suite, "n": n, **counts})
    graded = [{"cell": cell, "seed": 0, "n": 40, "value": odds} for cell in ("CL -> CL", "CV -> CL")]
    return {"index": index, "arm": arm, "cells": rows, "log_odds": graded}


def harmful(**shares: Sequence[float]) -> Cells:
    return {(name.replace("_", " -> "), "lab-harmful"): share for name, share in shares.items()}


def whole_units(frozen: Frozen, seeds: int, arm: str = ARM) -> list[dict[str, Any]]:
    """Units with every cell that a result shows."""
    suites = ("lab-harmful", "lab-maths", "lab-benign-twins")
    pairs = {pair for study in frozen.recipe["studies"].values() for pair in study["pairs"]}
    units = []
    for index in range(seeds):
        made = unit(
            index, {(pair, suite): [0.1 * index] for pair in sorted(pairs) for suite in suites}, arm=arm
        )
        graded = frozen.recipe["studies"][frozen.recipe["log_odds"]["study"]]["pairs"]
        made["log_odds"] = [{"cell": cell, "seed": 0, "n": 40, "value": 1.5} for cell in graded]
        units.append(
            {**made, "model_seed": frozen.model_seed(index), "frozen": frozen.digest, "seconds": 1.0}
        )
    return units
