"""Do the intervals hold what they promise? Replays simulated studies; writes coverage, errors and power as
JSON.

    OMP_NUM_THREADS=1 python benchmarks/statistics.py [--quick] [--only PART] [--studies N] [--out FILE]

First every default (cells, pooled cells, comparisons: statistics_defaults.py), N studies a situation; then
the library behind it (statistics_library.py), ten times N a family. `--quick` takes a tenth. About eight
minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

# This file's own folder goes last, or its name would hide the standard library's `statistics`.
sys.path.sort(key=lambda entry: Path(entry).resolve() == Path(__file__).resolve().parent)

import numpy
import scipy
import statistics_defaults as defaults
import statistics_library as library

import puretune

DEMANDED = 0.94


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--studies", type=int, default=2000, help="studies a situation (default 2,000)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the studies")
    parser.add_argument("--only", choices=("defaults", "library"), help="keep the other part's figures")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "statistics.json")
    options = parser.parse_args()
    studies = max(100, options.studies // (10 if options.quick else 1))
    began, rows = time.perf_counter(), {}
    if options.only != "library":
        rows |= {name: list(made(studies)) for name, made in SITUATIONS.items()}
    if options.only != "defaults":
        rows |= library.replay(10 * studies, 1)
    if options.only is not None:  # the other part as it was
        kept = json.loads(options.out.read_text())
        rows |= {name: kept[name] for name in (*SITUATIONS, *LIBRARY) if name not in rows}
    result = {
        "schema_version": 2,
        "command": " ".join(["python", "benchmarks/statistics.py", *sys.argv[1:]]),
        "machine": library.machine(),
        "versions": _versions(),
        "studies": studies,
        "wall_seconds": round(time.perf_counter() - began, 1),
        "goals": [*goals(rows), *library.goals(rows)],
        **rows,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    partial = options.out.with_name(options.out.name + ".partial")
    partial.write_text(json.dumps(result, indent=1) + "\n")
    partial.replace(options.out)
    for goal in result["goals"]:
        print("met   " if goal["met"] else "MISSED", goal["goal"])
    print(options.out)


LIBRARY = ("coverage", "error_rates", "label_cost")
SITUATIONS = {
    "cells": defaults.cell_coverage,
    "special_cells": defaults.special_cells,
    "comparisons": defaults.comparisons,
}


def goals(rows: dict[str, Any]) -> list[dict[str, Any]]:
    """What was demanded of the defaults, whether it was met, and by what figures."""
    found = []
    for name in SITUATIONS:
        worst = min(rows[name], key=lambda row: float(row["coverage"] + 2 * _error(row)))
        met = bool(worst["coverage"] + 2 * _error(worst) >= DEMANDED)
        found.append({"goal": f"{name}: coverage >= 94 % in every situation", "met": met, "worst": worst})
    null = [row for row in rows["comparisons"] if row["difference"] == 0]
    worst = max(null, key=lambda row: float(row["rejected"] - 2 * _error(row)))
    met = bool(worst["rejected"] - 2 * _error(worst) <= 0.05)
    found.append({"goal": "no difference: found in at most 5 %", "met": met, "worst": worst})
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
