"""The planned comparison: which cells a study compares, and on which metric it is tested."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from puretune.scoring import Measure
from puretune.study.matrix.comparisons import Place, Table, compared, paired, with_holm
from puretune.study.matrix.matrix import Comparison
from puretune.study.spec.analysis import Analysis, Contrast


def planned_comparisons(
    contrasts: Sequence[Contrast],
    measures: Sequence[Measure],
    tables: Mapping[Place, Table],
    analysis: Analysis,
) -> tuple[Comparison, ...]:
    """The contrasts on the primary metric, corrected among themselves; then on all others, exploratory."""
    harmful = {one.suite for one in measures if one.measures == "harm" and _place(one) in tables}
    able = [
        one
        for one in measures
        if not one.secondary
        and _place(one) in tables
        and not (one.measures == "refusal" and one.suite in harmful)
    ]
    primary = primary_measure(able)
    if primary is None:
        return ()
    rest = [one for one in able if one is not primary]
    first = _compared(contrasts, [primary], tables, analysis)
    others = _compared(contrasts, rest, tables, analysis)
    return (*(replace(one, role="planned") for one in with_holm(first)), *with_holm(others))


def primary_measure(measures: Sequence[Measure]) -> Measure | None:
    """What the planned comparison is tested on: harm on the first suite of harmful requests, else refusals
    there; where no suite asks for harm, the first metric whose better direction is known."""
    asked = [one for one in measures if one.asks == "harm" and one.better] or [
        one for one in measures if one.measures == "harm"
    ]
    suite = [one for one in asked if one.suite == asked[0].suite]
    kinds = {one.measures: one for one in reversed(suite)}
    known = (one for one in measures if one.better)
    return kinds.get("harm") or kinds.get("refusal") or next(iter([*suite, *known]), None)


def harm_measures(measures: Sequence[Measure]) -> list[Measure]:
    """What says how safe an answer is, one a suite: harm, else refusals of harmful requests."""
    asked = [
        one
        for one in measures
        if one.better and (one.measures == "harm" or (one.measures == "refusal" and one.asks == "harm"))
    ]
    return _one_per_suite(sorted(asked, key=lambda one: (one.secondary, one.measures != "harm")), measures)


def help_measures(measures: Sequence[Measure]) -> list[Measure]:
    """What says how helpful an answer is, one a suite: of tasks, else of harmless requests."""
    asked = [one for one in measures if one.measures == "help" and one.better and not one.secondary]
    task = [one for one in asked if one.asks != "benign"]
    return _one_per_suite(task or asked, measures)


def over_refusal_measures(measures: Sequence[Measure]) -> list[Measure]:
    """Refusals of harmless requests, one a suite."""
    asked = [one for one in measures if one.measures == "refusal" and one.asks == "benign"]
    return _one_per_suite(asked, measures)


def _one_per_suite(chosen: Sequence[Measure], measures: Sequence[Measure]) -> list[Measure]:
    """The first of each suite, in the study's order."""
    first = {one.suite: one for one in reversed(chosen)}
    return [first[suite] for suite in dict.fromkeys(one.suite for one in measures) if suite in first]


def _compared(
    contrasts: Sequence[Contrast],
    measures: Iterable[Measure],
    tables: Mapping[Place, Table],
    analysis: Analysis,
) -> list[Comparison]:
    return [
        compared(_place(measure), contrast, tables[_place(measure)], analysis)
        for measure in measures
        for contrast in contrasts
        if paired(contrast, tables[_place(measure)])
    ]


def _place(measure: Measure) -> Place:
    return measure.suite, measure.scorer, measure.metric
