"""B7 and B9: what a user waits for. Whole processes, from their start to their end.

B7  ``puretune demo`` with nothing cached: five templates by five, one seed, report written
B9  the same command again; planning 10,000 cells; ``import puretune``; ``puretune --help``
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.speed._measure import alternate
from benchmarks.speed._record import ROOT, Record

DEMO, START = "B7", "B9"
_DEMO, _RESULTS = ["-m", "puretune", "demo", "--full", "--out", "run"], "run/results.json"
_CELLS = 10_000
_PLAN = """
import time
from puretune.study import Study, plan_study
side = 100
templates = {f"t{n}": {"system": f"Rule {n}."} for n in range(side)}
study = Study(name="cells", model="lab", templates=templates, tuning={"data": "lab-maths"},
              train=list(templates), test=list(templates), suites=[{"name": "lab-maths", "limit": 20}])
started = time.perf_counter()
made = plan_study(study)
print(len(made.answer), time.perf_counter() - started)
"""


def measure_demo(record: Record, repeats: int, place: Path) -> None:
    """``puretune demo`` cold: a new process, an empty cache, an empty run directory. The last stays at
    ``place``."""
    item = record.item(DEMO)
    alternate({"puretune demo": lambda: demo_cold(place)}, repeats, item, record.save)


def measure_start(record: Record, repeats: int, place: Path) -> None:
    """A finished demo again (the one at ``place``), a large plan, and the bare start."""
    item = record.item(START)
    if not (place / _RESULTS).is_file():
        demo_cold(place)
    scratch = str(place)
    sides: dict[str, Callable[[], dict[str, Any]]] = {
        "finished study again": lambda: _rerun(_DEMO, scratch),
        "plan of 10,000 cells": lambda: _plan(scratch),
        "import puretune": lambda: _python(["-c", "import puretune"], scratch),
        "puretune --help": lambda: _python(["-m", "puretune", "--help"], scratch),
        "python -c pass": lambda: _python(["-c", "pass"], scratch),
    }
    alternate(sides, repeats, item, record.save)


def demo_cold(place: Path) -> dict[str, Any]:
    """One cold run; InputError and the like end it with a non-zero exit code, which is an error here."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    said = _python(_DEMO, str(place))
    results = json.loads((place / _RESULTS).read_text())
    return {"seconds": said["seconds"], "cells": len(results["cells"])}


def _rerun(arguments: list[str], scratch: str) -> dict[str, Any]:
    done = _python(arguments, scratch, keep=True)
    computed = re.findall(r"^(?:tune|answer|score)\b.*", done["stderr"], re.MULTILINE)
    return {"seconds": done["seconds"], "steps_computed": len(computed)}


def _plan(scratch: str) -> dict[str, Any]:
    cells, seconds = _python(["-c", _PLAN], scratch, keep=True)["stdout"].split()
    if int(cells) != _CELLS:
        raise RuntimeError(f"{cells} cells were planned, not {_CELLS}")
    return {"seconds": float(seconds)}


def _python(arguments: list[str], scratch: str, keep: bool = False) -> dict[str, Any]:
    """A Python process on this installation, with a cache of its own; its seconds."""
    environment = {**os.environ, "PURETUNE_CACHE": str(Path(scratch) / "cache"), "PYTHONPATH": _path()}
    environment.pop("PURETUNE_STORE", None)
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment, cwd=scratch
    )
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        raise RuntimeError(f"exit code {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
    return {"seconds": seconds, **({"stdout": done.stdout, "stderr": done.stderr} if keep else {})}


def _path() -> str:
    return os.pathsep.join([str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
