"""What a matrix says of its judges behind endpoints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from puretune.scoring import Judge, Verdict, flips
from puretune.study.plan.shards import reported_models
from puretune.study.plan.steps import Plan


def judge_facts(plan: Plan, verdicts: Mapping[str, Sequence[Verdict]]) -> dict[str, Any]:
    """What a matrix says about its judges behind endpoints; ``verdicts`` by the scorer's name."""
    judges = {s.name: s for suite in plan.resolved.suites for s in suite.scorers if isinstance(s, Judge)}
    for name, judge in judges.items():
        judge.check_reported(reported_models({"raw": v.raw} for v in verdicts.get(name, ())))
    return {
        name: {
            **judge.identity(),
            "judged": len(verdicts.get(name, ())),
            "unparsed": sum(v.parse == "unparsed" for v in verdicts.get(name, ())),
            "reported": dict(
                Counter(str(v.raw["model"]) for v in verdicts.get(name, ()) if v.raw.get("model"))
            ),
            "recheck": asdict(flips(verdicts.get(name, ()))),
        }
        for name, judge in judges.items()
    }
