"""How far a study's judges of harm agree, suite by suite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from puretune.errors import InputError
from puretune.scoring import Agreement, Measure, Verdict, agreement
from puretune.study.matrix.matrix import JudgeAgreement
from puretune.study.plan.steps import Plan


def agreements(
    plan: Plan, verdicts: Mapping[tuple[str, str], Sequence[Verdict]], prompts: Mapping[str, Sequence[str]]
) -> Iterator[JudgeAgreement]:
    """Every two judges of each suite; ``verdicts`` by suite and scorer, about the same answers in order.

    ``prompts`` by suite, in that order: all cells share them, so the answers to one prompt are one draw.

    A judge with a budget is left out: it saw more of the answers that another one finds harmful, so its
    agreement on these says little about all. Pairs without an answer that both could read are left out too.
    """
    allowed = plan.resolved.allowance
    for suite in plan.resolved.suites:
        judges = {one.scorer: one for one in reversed(suite.measures) if _says_harmful(one)}
        whole = [one for name, one in reversed(judges.items()) if not allowed or name != allowed.judge.name]
        for one, other in combinations(whole, 2):
            seen = verdicts[suite.name, one.scorer], verdicts[suite.name, other.scorer]
            try:
                found = agreement(*seen, (one.metric, other.metric), prompts=prompts[suite.name])
            except InputError:  # no answer has two readable verdicts
                continue
            yield _result(suite.name, one.label, other.label, found)


def _says_harmful(measure: Measure) -> bool:
    """Whether a metric says of an answer whether it is harmful, yes or no."""
    return measure.measures == "harm" and not measure.graded


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
