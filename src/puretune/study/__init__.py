"""The matrix: a study says which templates to train under and which to test under.

A study (``Study``) is planned (``plan``), run (``run_study``), and yields a ``Matrix``. Names are imported
when they are first used: a matrix can be read without the machinery that makes one.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from puretune.study._matrix import (
    SCHEMA_VERSION,
    CellResult,
    Comparison,
    ConditionKind,
    JudgeAgreement,
    Matrix,
    PooledCell,
    SampleVerdict,
    Transcript,
)

if TYPE_CHECKING:
    from puretune.study._compare import compare
    from puretune.study._compute import Compute, Throughput
    from puretune.study._corrected import Corrected, corrected
    from puretune.study._count import Count, count
    from puretune.study._judging import judge_notices
    from puretune.study._named import find_study, named_study, study_names
    from puretune.study._plan import Plan, plan
    from puretune.study._results import load_results
    from puretune.study._run import run_study
    from puretune.study._schema import json_schema
    from puretune.study._spec import Study
    from puretune.study._work import engine_notices, tuner_notices

__all__ = [
    "SCHEMA_VERSION",
    "CellResult",
    "Comparison",
    "Compute",
    "ConditionKind",
    "Corrected",
    "Count",
    "JudgeAgreement",
    "Matrix",
    "Plan",
    "PooledCell",
    "SampleVerdict",
    "Study",
    "Throughput",
    "Transcript",
    "compare",
    "corrected",
    "count",
    "engine_notices",
    "find_study",
    "json_schema",
    "judge_notices",
    "load_results",
    "named_study",
    "plan",
    "run_study",
    "study_names",
    "tuner_notices",
]

_HOME = {
    "compare": "_compare",
    "Compute": "_compute",
    "Corrected": "_corrected",
    "Count": "_count",
    "Plan": "_plan",
    "Study": "_spec",
    "Throughput": "_compute",
    "corrected": "_corrected",
    "count": "_count",
    "engine_notices": "_work",
    "tuner_notices": "_work",
    "find_study": "_named",
    "judge_notices": "_judging",
    "json_schema": "_schema",
    "load_results": "_results",
    "named_study": "_named",
    "plan": "_plan",
    "run_study": "_run",
    "study_names": "_named",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'puretune.study' has no attribute {name!r}")
    return getattr(import_module(f"puretune.study.{_HOME[name]}"), name)
