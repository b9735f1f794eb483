"""The matrix: a study says which templates to train under and which to test under.

A study (``Study``) is planned (``plan_study``), run (``run_study``), and yields a ``Matrix``. Four folders:
``spec`` (what the file says), ``plan`` (what must be computed), ``run`` (how), ``matrix`` (what comes out).
Names are imported when they are first used: a matrix can be read without the machinery that makes one.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from puretune.study.matrix.matrix import (
    SCHEMA_VERSION,
    Alternative,
    CategoryRate,
    CellResult,
    Comparison,
    ControlEffect,
    JudgeAgreement,
    Matrix,
    PooledCell,
    Recommendation,
    SampleVerdict,
    Transcript,
)
from puretune.study.matrix.ranking import Matched, RankedStrategy, Ranking
from puretune.study.spec.bounds import ConditionKind

if TYPE_CHECKING:
    from puretune.study._run import run_study
    from puretune.study.matrix.answer_rows import AnswerRow, Answers, answers_of
    from puretune.study.matrix.compare import compare
    from puretune.study.matrix.corrected import Corrected, corrected
    from puretune.study.matrix.recommendation import recommend
    from puretune.study.matrix.reports import FORMATS
    from puretune.study.matrix.results import load_results
    from puretune.study.matrix.rewrite import Moved, moved, write_reports
    from puretune.study.plan.compute import Compute, Throughput
    from puretune.study.plan.count import Count, count
    from puretune.study.plan.graph import plan_study
    from puretune.study.plan.steps import Plan
    from puretune.study.plan.strategies import STRATEGIES
    from puretune.study.run.executors import ExecutorSpec, executor_with
    from puretune.study.run.forecast import measured_speed
    from puretune.study.run.judges import judge_notices
    from puretune.study.run.status import RunStatus, run_status
    from puretune.study.run.verdicts import check_scorers
    from puretune.study.run.work import engine_notices, tuner_notices
    from puretune.study.spec.expansion import Expansion, Strategy
    from puretune.study.spec.registry import find_study, named_study, study_head, study_names
    from puretune.study.spec.schema import json_schema
    from puretune.study.spec.sections import TrainSection
    from puretune.study.spec.study import Study

__all__ = [
    "FORMATS",
    "SCHEMA_VERSION",
    "STRATEGIES",
    "Alternative",
    "AnswerRow",
    "Answers",
    "CategoryRate",
    "CellResult",
    "Comparison",
    "Compute",
    "ConditionKind",
    "ControlEffect",
    "Corrected",
    "Count",
    "ExecutorSpec",
    "Expansion",
    "JudgeAgreement",
    "Matched",
    "Matrix",
    "Moved",
    "Plan",
    "PooledCell",
    "RankedStrategy",
    "Ranking",
    "Recommendation",
    "RunStatus",
    "SampleVerdict",
    "Strategy",
    "Study",
    "Throughput",
    "TrainSection",
    "Transcript",
    "answers_of",
    "check_scorers",
    "compare",
    "corrected",
    "count",
    "engine_notices",
    "executor_with",
    "find_study",
    "json_schema",
    "judge_notices",
    "load_results",
    "measured_speed",
    "moved",
    "named_study",
    "plan_study",
    "recommend",
    "run_status",
    "run_study",
    "study_head",
    "study_names",
    "tuner_notices",
    "write_reports",
]

_HOME = {
    "check_scorers": "run.verdicts",
    "STRATEGIES": "plan.strategies",
    "ExecutorSpec": "run.executors",
    "executor_with": "run.executors",
    "RunStatus": "run.status",
    "run_status": "run.status",
    "Expansion": "spec.expansion",
    "Strategy": "spec.expansion",
    "TrainSection": "spec.sections",
    "AnswerRow": "matrix.answer_rows",
    "Answers": "matrix.answer_rows",
    "answers_of": "matrix.answer_rows",
    "compare": "matrix.compare",
    "Compute": "plan.compute",
    "Corrected": "matrix.corrected",
    "Count": "plan.count",
    "Plan": "plan.steps",
    "Study": "spec.study",
    "Throughput": "plan.compute",
    "corrected": "matrix.corrected",
    "count": "plan.count",
    "engine_notices": "run.work",
    "tuner_notices": "run.work",
    "find_study": "spec.registry",
    "judge_notices": "run.judges",
    "json_schema": "spec.schema",
    "load_results": "matrix.results",
    "FORMATS": "matrix.reports",
    "Moved": "matrix.rewrite",
    "moved": "matrix.rewrite",
    "write_reports": "matrix.rewrite",
    "measured_speed": "run.forecast",
    "named_study": "spec.registry",
    "plan_study": "plan.graph",
    "recommend": "matrix.recommendation",
    "run_study": "_run",
    "study_head": "spec.registry",
    "study_names": "spec.registry",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'puretune.study' has no attribute {name!r}")
    return getattr(import_module(f"puretune.study.{_HOME[name]}"), name)
