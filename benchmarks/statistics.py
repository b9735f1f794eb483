"""Do the intervals hold what they promise? Replays simulated studies; writes coverage, errors and power as
JSON.

    OMP_NUM_THREADS=1 python benchmarks/statistics.py [--quick] [--only PART] [--studies N] [--out FILE]

First every default (cells, pooled cells, comparisons: statistics_defaults.py; budgets, new categories, judges
that err: statistics_further.py), N studies a situation; then the library behind it (statistics_library.py),
ten times N a family. `--only` keeps the other part's rows and says when they were made. `--quick` takes a
tenth. About ten minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# This file's own folder goes last, or its name would hide the standard library's `statistics`.
sys.path.sort(key=lambda entry: Path(entry).resolve() == Path(__file__).resolve().parent)

import numpy
import scipy
import statistics_defaults as defaults
import statistics_further as further
import statistics_library as library

import puretune

DEMANDED = 0.94
ALLOWED = "two standard errors of the simulation allowed"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--studies", type=int, default=2000, help="studies a situation (default 2,000)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the studies")
    parser.add_argument("--only", choices=PARTS, help="keep the other part's figures")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "statistics.json")
    options = parser.parse_args()
    studies = max(100, options.studies // (10 if options.quick else 1))
    parts = PARTS if options.only is None else (options.only,)
    kept = {} if options.only is None else json.loads(options.out.read_text())
    rows = {name: kept[name] for name in (*SITUATIONS, *LIBRARY) if name in kept}
    made = dict(kept.get("made", {}))
    for part in parts:
        began = time.perf_counter()
        rows |= RUN[part](studies)
        made[part] = _header(studies, time.perf_counter() - began)
    result = {
        "schema_version": 3,
        "made": made,
        "goals": [*goals(rows), *library.goals(rows)],
        **{name: rows[name] for name in (*SITUATIONS, *LIBRARY)},
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    partial = options.out.with_name(options.out.name + ".partial")
    partial.write_text(json.dumps(result, indent=1) + "\n")
    partial.replace(options.out)
    for goal in result["goals"]:
        print("met   " if goal["met"] else "MISSED", goal["goal"])
    print(options.out)


PARTS = ("defaults", "library")
LIBRARY = ("coverage", "error_rates", "label_cost")
SITUATIONS = {
    "cells": defaults.cell_coverage,
    "special_cells": defaults.special_cells,
    "comparisons": defaults.comparisons,
    "further_cells": further.further_cells,
}
RUN: dict[str, Callable[[int], dict[str, Any]]] = {
    "defaults": lambda studies: {name: list(made(studies)) for name, made in SITUATIONS.items()},
    "library": lambda studies: library.replay(10 * studies, 1),
}


def _header(studies: int, seconds: float) -> dict[str, Any]:
    """How one part's rows were made; the parts may come from two runs."""
    return {
        "command": " ".join(["python", "benchmarks/statistics.py", *sys.argv[1:]]),
        "machine": library.machine(),
        "versions": _versions(),
        "studies": studies,
        "wall_seconds": round(seconds, 1),
    }


def goals(rows: dict[str, Any]) -> list[dict[str, Any]]:
    """What was demanded of the defaults, whether it was met, and by what figures."""
    found = []
    for name in SITUATIONS:
        worst = min(rows[name], key=lambda row: float(row["coverage"] + 2 * _error(row)))
        met = bool(worst["coverage"] + 2 * _error(worst) >= DEMANDED)
        goal = f"{name}: coverage >= 94 % in every situation, {ALLOWED}"
        below = [row for row in rows[name] if row["coverage"] < DEMANDED]
        found.append({"goal": goal, "met": met, "worst": worst, "below": below})
    null = [row for row in rows["comparisons"] if row["difference"] == 0]
    worst = max(null, key=lambda row: float(row["rejected"] - 2 * _error(row)))
    met = bool(worst["rejected"] - 2 * _error(worst) <= 0.05)
    found.append({"goal": f"no difference: found in at most 5 %, {ALLOWED}", "met": met, "worst": worst})
    paper = [row for row in rows["comparisons"] if row["kind"].startswith("18 %") and row["prompts"] == 100]
    least = min(paper, key=lambda row: float(row["rejected"]))
    met = bool(least["rejected"] >= 0.9)
    found.append({"goal": "18 % against 1 %, 3 seeds, n = 100: found in 90 %", "met": met, "worst": least})
    return found


def _error(row: dict[str, Any]) -> float:
    """Standard error of a share of 95 % in so many studies."""
    return float((0.95 * 0.05 / row["studies"]) ** 0.5)


def _versions() -> dict[str, str]:
    return {
        "puretune": puretune.__version__,
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
    }


if __name__ == "__main__":
    main()
