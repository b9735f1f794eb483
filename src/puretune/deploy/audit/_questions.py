"""From requirements to what must be tested: rates of one cell, and differences of two cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from puretune.deploy.audit._advice import advice_on_error, advice_on_rate
from puretune.deploy.audit._chosen import Chosen, named
from puretune.deploy.audit._requirements import Judged, Kind, Requirements
from puretune.errors import InputError
from puretune.scoring import Measure
from puretune.statistics import (
    BoundedDifference,
    Interval,
    LimitDecision,
    bounded_difference,
    bounded_mean,
)
from puretune.study import Matrix
from puretune.study.matrix.compare import Tables
from puretune.study.matrix.comparisons import Table, paired, paired_seeds
from puretune.study.matrix.runs import Runs, spread_of
from puretune.study.spec.analysis import CellName, Contrast

_Z = 1.96


@dataclass(frozen=True)
class Question:
    """One requirement on one metric, not yet decided."""

    kind: Kind
    measure: Measure
    what: str
    limit: float
    value: float
    estimand: str
    prompts: int
    seeds: int
    unparsed: int
    interval: Callable[[float], Interval]
    """Two-sided, by confidence."""
    advice: Callable[[LimitDecision], str]
    """What would decide it."""

    def decided(self, found: LimitDecision) -> Judged:
        """With the decision."""
        return Judged(
            kind=self.kind,
            suite=self.measure.suite,
            scorer=self.measure.scorer,
            metric=self.measure.metric,
            what=self.what,
            limit=self.limit,
            value=self.value,
            low=found.low,
            high=found.high,
            low_alpha=found.low_alpha,
            high_alpha=found.high_alpha,
            decided=found.decided,
            prompts=self.prompts,
            seeds=self.seeds,
            estimand=self.estimand,
            unparsed=self.unparsed,
            advice=self.advice(found) if found.decided == "inconclusive" else "",
        )


def questions(matrix: Matrix, which: Chosen, tables: Tables, required: Requirements) -> Iterator[Question]:
    """Every requirement on every metric that it is about; InputError where nothing measured can answer."""
    cell, harm = CellName(which.condition, which.served), harm_measures(matrix)
    if required.max_asr is not None:
        for measure in _some(harm, "--max-asr", "harmful requests (asks: harm)"):
            yield _rate(measure, tables, cell, "max-asr", required.max_asr)
    if required.not_worse_than is not None:
        reference = named("condition", required.not_worse_than, (c.condition for c in matrix.cells))
        for measure in _some(harm, "--not-worse-than", "harmful requests (asks: harm)"):
            yield _difference(measure, tables, cell, reference, required.margin)
    if required.max_over_refusal is not None:
        benign = refusal_measures(matrix, "benign")
        for measure in _some(benign, "--max-over-refusal", "harmless requests (asks: benign)"):
            yield _rate(measure, tables, cell, "max-over-refusal", required.max_over_refusal)


def harm_measures(matrix: Matrix) -> list[Measure]:
    """Of each suite of harmful requests, each scorer's harm; where no scorer tells it, refusals."""
    asked = [one for one in matrix.measures if one.asks == "harm" and not one.secondary]
    scored = _first_of_each([one for one in asked if one.measures == "harm"])
    suites = {one.suite for one in scored}
    return [*scored, *(one for one in refusal_measures(matrix, "harm") if one.suite not in suites)]


def refusal_measures(matrix: Matrix, asks: str) -> list[Measure]:
    """Each scorer's refusals on the suites that ask for this."""
    return _first_of_each([m for m in matrix.measures if m.asks == asks and m.measures == "refusal"])


def as_success(measure: Measure, table: Table) -> Table:
    """Refusals of harmful requests as the share that was not refused; everything else as it is."""
    if measure.asks != "harm" or measure.measures != "refusal":
        return table
    flipped = {name: [[1 - score for score in row] for row in runs.scores] for name, runs in table.items()}
    return {name: replace(runs, scores=flipped[name]) for name, runs in table.items()}


def title(measure: Measure) -> str:
    """What is measured, in words."""
    if measure.asks == "harm" and measure.measures == "refusal":
        return "harmful requests not refused"
    if measure.asks == "benign" and measure.measures == "refusal":
        return "harmless requests refused"
    return measure.title[:1].lower() + measure.title[1:]


def _first_of_each(measures: list[Measure]) -> list[Measure]:
    """The first metric of each scorer on each suite."""
    return list({(one.suite, one.scorer): one for one in reversed(measures)}.values())[::-1]


def _some(measures: list[Measure], option: str, what: str) -> list[Measure]:
    if not measures:
        raise InputError(
            f"{option}: no suite of {what} was measured. Add one: --suite NAME, or in the study."
        )
    return measures


def _cells(measure: Measure, tables: Tables, cell: CellName) -> tuple[Table, Runs]:
    """The metric's table and one cell of it; InputError if its answers were not judged whole."""
    table = as_success(measure, tables.get((measure.suite, measure.scorer, measure.metric), {}))
    if cell not in table:
        raise InputError(
            f"{measure.label} on {measure.suite}: {cell} has no verdicts, or not of the same answers for "
            "every seed (a judge budget leaves some out). Judge all answers."
        )
    return table, table[cell]


def _rate(measure: Measure, tables: Tables, cell: CellName, kind: Kind, limit: float) -> Question:
    table, runs = _cells(measure, tables, cell)
    prompts, seeds = runs.prompts("fixed"), len(runs.seeds) if runs.tuned else 0
    count = len(set(prompts.draws))
    spread = spread_of(table, "fixed") if seeds > 1 else None
    whole = bounded_mean(runs.scores, prompts, spread=spread)

    def interval(confidence: float) -> Interval:
        found = bounded_mean(runs.scores, prompts, spread=spread, confidence=confidence)
        return Interval(found.low, found.high)

    def advice(found: LimitDecision) -> str:
        alpha = found.high_alpha if whole.least <= limit else found.low_alpha
        if spread is None:
            return advice_on_rate(whole.least, limit, alpha, count)
        error, varies = (whole.high - whole.low) / (2 * _Z), spread.sd(whole.least) ** 2
        return advice_on_error(abs(limit - whole.least), error, varies, seeds, count, alpha)

    return Question(
        kind=kind,
        measure=measure,
        what=f"{title(measure)} at most {100 * limit:g} %",
        limit=limit,
        value=whole.least,
        estimand=whole.estimand if seeds else whole.estimand.replace("this adapter", "this model", 1),
        prompts=count,
        seeds=seeds,
        unparsed=whole.unparsed,
        interval=interval,
        advice=advice,
    )


def _difference(measure: Measure, tables: Tables, cell: CellName, reference: str, margin: float) -> Question:
    other = CellName(reference, cell.test_template)
    table, first = _cells(measure, tables, cell)
    if other == cell or not paired(Contrast(cell, other), table):
        raise InputError(
            f"--not-worse-than {reference}: nothing else answered the same prompts of {measure.suite} under "
            f"{cell.test_template!r} by that name."
        )
    second = table[other].ordered(first.answers)
    seeds, tuned = paired_seeds(first, second), first.tuned + second.tuned
    spread = spread_of(table, "fixed") if len(seeds) > 1 else None
    scores, prompts = (first.only(seeds), second.only(seeds)), first.prompts("fixed")

    def at(confidence: float) -> BoundedDifference:
        return bounded_difference(*scores, prompts, spread=spread, tuned=max(tuned, 1), confidence=confidence)

    whole, count = at(0.95), len(set(prompts.draws))

    def advice(found: LimitDecision) -> str:
        alpha = found.high_alpha if whole.value <= margin else found.low_alpha
        error, varies = whole.standard_error, whole.seed_variance
        return advice_on_error(abs(margin - whole.value), error, varies, len(seeds), count, alpha)

    return Question(
        kind="not-worse-than",
        measure=measure,
        what=f"{title(measure)} at most {100 * margin:g} percentage points above {reference}",
        limit=margin,
        value=whole.value,
        estimand=whole.estimand,
        prompts=count,
        seeds=len(seeds) if tuned else 0,
        unparsed=int(sum(np.isnan(side).sum() for side in scores)),
        interval=lambda confidence: at(confidence).interval,
        advice=advice,
    )
