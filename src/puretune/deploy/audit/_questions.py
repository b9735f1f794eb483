"""From requirements to what must be tested: rates of one cell, and differences of two cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from puretune.deploy.audit._advice import advice_on_error, advice_on_rate
from puretune.deploy.audit._chosen import Chosen, named
from puretune.deploy.audit._requirements import Judged, Kind, Requirements
from puretune.errors import InputError
from puretune.scoring import Measure
from puretune.statistics import (
    BoundedDifference,
    Bounds,
    Interval,
    LimitDecision,
    Prompts,
    SeedSpread,
    bounded_difference,
    bounded_mean,
)
from puretune.study import Matrix
from puretune.study.matrix.compare import Tables
from puretune.study.matrix.comparisons import Table, paired, paired_seeds
from puretune.study.matrix.runs import Runs, Scores, spread_of
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


@dataclass(frozen=True)
class _Cell:
    """One cell, with what its interval needs."""

    runs: Runs
    prompts: Prompts
    spread: SeedSpread | None

    @property
    def seeds(self) -> int:
        """Training runs; 0 if nothing was tuned."""
        return len(self.runs.seeds) if self.runs.tuned else 0

    @property
    def count(self) -> int:
        """Prompts."""
        return len(set(self.prompts.draws))

    def bounds(self, confidence: float = 0.95) -> Bounds:
        """The rate."""
        return bounded_mean(self.runs.scores, self.prompts, spread=self.spread, confidence=confidence)

    def interval(self, confidence: float) -> Interval:
        """Its interval alone."""
        found = self.bounds(confidence)
        return Interval(found.low, found.high)

    def advice(self, limit: float, found: LimitDecision) -> str:
        """What would decide whether it is at most the limit."""
        whole = self.bounds()
        alpha = found.high_alpha if whole.least <= limit else found.low_alpha
        if self.spread is None:
            return advice_on_rate(whole.least, limit, alpha, self.count)
        error, varies = (whole.high - whole.low) / (2 * _Z), self.spread.sd(whole.least) ** 2
        return advice_on_error(abs(limit - whole.least), error, varies, self.seeds, self.count, alpha)


@dataclass(frozen=True)
class _Pair:
    """A cell and the one that it is compared with, on the same prompts and seeds."""

    first: Scores
    second: Scores
    prompts: Prompts
    spread: SeedSpread | None
    tuned: int
    """How many of both were tuned."""

    def difference(self, confidence: float = 0.95) -> BoundedDifference:
        """First minus second."""
        return bounded_difference(
            self.first,
            self.second,
            self.prompts,
            spread=self.spread,
            tuned=max(self.tuned, 1),
            confidence=confidence,
        )

    def advice(self, margin: float, found: LimitDecision) -> str:
        """What would decide whether it is at most the margin."""
        whole, count = self.difference(), len(set(self.prompts.draws))
        alpha = found.high_alpha if whole.value <= margin else found.low_alpha
        error, varies, gap = whole.standard_error, whole.seed_variance, abs(margin - whole.value)
        return advice_on_error(gap, error, varies, len(self.first), count, alpha)


def _table(measure: Measure, tables: Tables, cell: CellName) -> Table:
    """The metric's table; InputError if the cell's answers were not judged whole."""
    table = as_success(measure, tables.get((measure.suite, measure.scorer, measure.metric), {}))
    if cell not in table:
        raise InputError(
            f"{measure.label} on {measure.suite}: {cell} has no verdicts, or not of the same answers for "
            "every seed (a judge budget leaves some out). Judge all answers."
        )
    return table


def _rate(measure: Measure, tables: Tables, name: CellName, kind: Kind, limit: float) -> Question:
    table = _table(measure, tables, name)
    runs = table[name]
    cell = _Cell(runs, runs.prompts("fixed"), spread_of(table, "fixed") if len(runs.seeds) > 1 else None)
    whole = cell.bounds()
    return Question(
        kind=kind,
        measure=measure,
        what=f"{title(measure)} at most {100 * limit:g} %",
        limit=limit,
        value=whole.least,
        estimand=whole.estimand if cell.seeds else whole.estimand.replace("this adapter", "this model", 1),
        prompts=cell.count,
        seeds=cell.seeds,
        unparsed=whole.unparsed,
        interval=cell.interval,
        advice=partial(cell.advice, limit),
    )


def _difference(measure: Measure, tables: Tables, name: CellName, reference: str, margin: float) -> Question:
    pair = _pair(measure, _table(measure, tables, name), name, reference)
    whole = pair.difference()
    return Question(
        kind="not-worse-than",
        measure=measure,
        what=f"{title(measure)} at most {100 * margin:g} percentage points above {reference}",
        limit=margin,
        value=whole.value,
        estimand=whole.estimand,
        prompts=len(set(pair.prompts.draws)),
        seeds=len(pair.first) if pair.tuned else 0,
        unparsed=int(np.isnan([*pair.first, *pair.second]).sum()),
        interval=lambda confidence: pair.difference(confidence).interval,
        advice=partial(pair.advice, margin),
    )


def _pair(measure: Measure, table: Table, name: CellName, reference: str) -> _Pair:
    """InputError if the reference did not answer the same."""
    other = CellName(reference, name.test_template)
    if other == name or not paired(Contrast(name, other), table):
        raise InputError(
            f"--not-worse-than {reference}: nothing else answered the same prompts of {measure.suite} under "
            f"{name.test_template!r} by that name."
        )
    first = table[name]
    second = table[other].ordered(first.answers)
    seeds = paired_seeds(first, second)
    return _Pair(
        first.only(seeds),
        second.only(seeds),
        first.prompts("fixed"),
        spread_of(table, "fixed") if len(seeds) > 1 else None,
        first.tuned + second.tuned,
    )
