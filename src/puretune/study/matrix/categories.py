"""Rates by category of prompts, with the same kind of interval as the cell that they are a part of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from puretune.scoring import Measure
from puretune.statistics import bounded_mean, prompts_of
from puretune.study.matrix.comparisons import Place, Table
from puretune.study.matrix.matrix import CategoryRate
from puretune.study.matrix.runs import Runs
from puretune.study.spec.analysis import Analysis, CellName

MOST = 50
"""A suite with more categories than this has something else in them."""


def category_rates(
    measures: Sequence[Measure], tables: Mapping[Place, Table], analysis: Analysis
) -> Iterator[CategoryRate]:
    """By category, every cell at the end of training in the primary metrics; nothing of a suite without
    categories."""
    for measure in measures:
        place = measure.suite, measure.scorer, measure.metric
        for name, runs in () if measure.secondary else tables.get(place, {}).items():
            yield from _rates(place, name, runs, analysis)


def _rates(place: Place, name: CellName, runs: Runs, analysis: Analysis) -> Iterator[CategoryRate]:
    columns: dict[str, list[int]] = {}
    for column, answer in enumerate(runs.answers):
        if answer.category is not None:
            columns.setdefault(answer.category, []).append(column)
    if not 1 < len(columns) <= MOST:
        return
    for category, held in columns.items():
        scores = [[row[column] for column in held] for row in runs.scores]
        prompts = prompts_of([runs.answers[column].draw for column in held])
        found = bounded_mean(scores, prompts, seed_sd=analysis.seed_sd if runs.tuned else None)
        suite, scorer, metric = place
        yield CategoryRate(
            suite=suite,
            scorer=scorer,
            metric=metric,
            condition=name.condition,
            test_template=name.test_template,
            category=category,
            n=len(held) * len(runs.scores),
            value=found.least,
            low=found.low,
            high=found.high,
        )
