"""How far a study's judges of harm agree, suite by suite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from puretune.errors import InputError
from puretune.scoring import Agreement, Scorer, Verdict, agreement
from puretune.study._matrix import JudgeAgreement
from puretune.study._plan import Plan

_HARMFUL = ("asr", "unsafe_rate")
"""Metrics that say of an answer whether it is harmful, yes or no."""


def agreements(plan: Plan, verdicts: Mapping[tuple[str, str], Sequence[Verdict]]) -> Iterator[JudgeAgreement]:
    """Every two judges of each suite; ``verdicts`` by suite and scorer, about the same answers in order.

    A judge with a budget is left out: it saw more of the answers that another one finds harmful, so its
    agreement on these says little about all. Pairs without an answer that both could read are left out too.
    """
    allowed = plan.resolved.allowance
    for suite in plan.resolved.suites:
        judges = [(one, metric) for one in suite.scorers if (metric := _metric(one)) is not None]
        judges = [(one, metric) for one, metric in judges if not allowed or one.name != allowed.judge.name]
        for (first, one), (second, other) in combinations(judges, 2):
            seen = verdicts[suite.name, first.name], verdicts[suite.name, second.name]
            try:
                found = agreement(*seen, (one, other))
            except InputError:  # no answer has two readable verdicts
                continue
            yield _result(suite.name, f"{one} ({first.name})", f"{other} ({second.name})", found)


def _metric(scorer: Scorer) -> str | None:
    return next((metric for metric in scorer.metrics if metric in _HARMFUL), None)


def _result(suite: str, first: str, second: str, found: Agreement) -> JudgeAgreement:
    counts = {
        (row, column): found.table[i][j]
        for i, row in enumerate(found.labels)
        for j, column in enumerate(found.labels)
    }
    return JudgeAgreement(
        suite=suite,
        first=first,
        second=second,
        n=found.n,
        unparsed=found.unparsed,
        both=counts.get((True, True), 0),
        first_only=counts.get((True, False), 0),
        second_only=counts.get((False, True), 0),
        neither=counts.get((False, False), 0),
        kappa=found.kappa,
        low=found.interval.low,
        high=found.interval.high,
    )
