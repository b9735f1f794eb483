"""From verdicts to cells: rates over all answers asked for, with intervals that name what they are for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from puretune.inference import Finish
from puretune.scoring import Behaviour, Budget, Verdict, estimate_within
from puretune.statistics import Bounds, SeedSpread, bounded_mean, budgeted_mean, mean, prompts_of
from puretune.study.matrix.matrix import CellResult, PooledCell
from puretune.study.matrix.runs import AnswerKey, Runs, score_row, spread_of
from puretune.study.spec.analysis import PLAIN, Analysis, CellName

if TYPE_CHECKING:
    from puretune.study.plan.steps import Who

BEHAVIOURS: tuple[Behaviour, ...] = ("complied", "refused", "incoherent", "empty")


@dataclass(frozen=True)
class Judged:
    """One answer's verdict by one scorer."""

    prompt_id: str
    finish: Finish
    verdict: Verdict
    category: str | None = None
    """The category of the prompt; None: it has none."""
    draw: str | None = None
    """The request that the prompt paraphrases; None: it is its own cluster."""


class Place(NamedTuple):
    """A cell of the matrix before a metric is chosen."""

    who: Who
    test_template: str
    suite: str


@dataclass(frozen=True)
class Measured:
    """A cell with what it rests on."""

    cell: CellResult
    judged: tuple[Judged, ...]
    scores: tuple[float | None, ...]
    """Per answer; None if it could not be read, or was left out by a budget."""
    least: float
    """The value, if every unparsed verdict were the lowest one."""
    most: float
    """The value, if every unparsed verdict were the highest one."""


def cell(
    place: Place,
    scorer: str,
    metric: str,
    judged: Sequence[Judged],
    budget: Budget | None = None,
    analysis: Analysis = PLAIN,
) -> Measured:
    """One metric of a scorer over all answers of a cell.

    An unparsed verdict counts as 0 in the value and widens the interval to what it could have been. Under a
    judge ``budget`` value and interval are estimates for all answers, from those that were judged.
    """
    scores = [_score(item.verdict, metric) for item in judged]
    parsed = [score for score in scores if score is not None]
    found = _plain(place, judged, scores, analysis) if budget is None else _within(judged, metric, budget)
    result = CellResult(
        condition=place.who.condition,
        train_template=place.who.train_template,
        seed=place.who.seed,
        step=place.who.step,
        test_template=place.test_template,
        suite=place.suite,
        scorer=scorer,
        metric=metric,
        n=len(judged),
        value=found.least if parsed else None,
        low=found.low,
        high=found.high,
        counts=_counts(judged, scores, budget is not None),
        estimand=found.estimand,
        method=found.method,
    )
    return Measured(result, tuple(judged), tuple(scores), found.least, found.most)


def pool(measured: Iterable[Measured], analysis: Analysis = PLAIN) -> tuple[PooledCell, ...]:
    """The means over tuning seeds, in the order in which their first cells come."""
    groups: dict[tuple[object, ...], list[Measured]] = {}
    for each in measured:
        one = each.cell
        key = (one.suite, one.scorer, one.metric, one.condition, one.step, one.test_template)
        groups.setdefault(key, []).append(each)
    cells = {key: runs_of(group) for key, group in groups.items() if not in_part(group)}
    spreads = {place: spread_of(_under(cells, place), analysis.population) for place in _places(groups)}
    return tuple(_pooled(group, spreads[key[:3]], analysis) for key, group in groups.items())


def tables_of(measured: Iterable[Measured]) -> dict[tuple[str, str, str], dict[CellName, Runs]]:
    """By suite, scorer and metric, the runs of the last step of every condition under every test template.

    What a judge budget left in part is not there: its answers cannot be paired.
    """
    groups: dict[tuple[str, str, str, CellName], list[Measured]] = {}
    for each in measured:
        one = each.cell
        if one.step is None:
            name = CellName(one.condition, one.test_template)
            groups.setdefault((one.suite, one.scorer, one.metric, name), []).append(each)
    tables: dict[tuple[str, str, str], dict[CellName, Runs]] = {}
    for (*place, name), group in groups.items():
        if not in_part(group):
            suite, scorer, metric = place
            tables.setdefault((suite, scorer, metric), {})[name] = runs_of(group)
    return tables


def runs_of(group: Sequence[Measured]) -> Runs:
    """The runs of one cell, with what their answers are about."""
    seen: Counter[str] = Counter()
    answers = []
    for item in group[0].judged:
        answers.append(
            AnswerKey(item.prompt_id, seen[item.prompt_id], item.draw or item.prompt_id, item.category)
        )
        seen[item.prompt_id] += 1
    scores = [score_row(each.scores) for each in group]
    return Runs(tuple(each.cell.seed for each in group), tuple(answers), scores)


def _places(groups: Iterable[tuple[object, ...]]) -> set[tuple[object, ...]]:
    return {key[:3] for key in groups}


def _under(cells: Mapping[tuple[object, ...], Runs], place: tuple[object, ...]) -> dict[CellName, Runs]:
    """All cells of one metric on one suite; each step under a template is its own cell."""
    return {
        CellName(str(key[3]), f"{key[4]} {key[5]}"): runs for key, runs in cells.items() if key[:3] == place
    }


def in_part(group: Sequence[Measured]) -> bool:
    """Whether a judge budget left answers out."""
    return any(item.verdict.parse == "unjudged" for each in group for item in each.judged)


def _pooled(group: Sequence[Measured], spread: SeedSpread | None, analysis: Analysis) -> PooledCell:
    cells, first = [each.cell for each in group], group[0].cell
    found = _bounds(group, spread, analysis)
    known = any(one.value is not None for one in cells)
    value = mean([each.least for each in group])
    prompts = runs_of(group).prompts(analysis.population)
    return PooledCell(
        condition=first.condition,
        train_template=first.train_template,
        step=first.step,
        test_template=first.test_template,
        suite=first.suite,
        scorer=first.scorer,
        metric=first.metric,
        seeds=len(group),
        n=sum(one.n for one in cells),
        value=value if known else None,
        low=found.low,
        high=found.high,
        estimand=found.estimand,
        method=found.method,
        seed_sd=_seed_sd(group, spread, value, analysis),
        categories=prompts.design.categories,
        design_effect=None if in_part(group) else prompts.design_effect([score_row(e.scores) for e in group]),
    )


def _bounds(group: Sequence[Measured], spread: SeedSpread | None, analysis: Analysis) -> Bounds:
    if in_part(group):
        return _single(group[0]) if len(group) == 1 else _over_budgets(group)
    runs = runs_of(group)
    assumed = analysis.seed_sd if group[0].cell.seed is not None else None
    found = bounded_mean(runs.scores, runs.prompts(analysis.population), spread=spread, seed_sd=assumed)
    return _about(found, group[0].cell)


def _single(one: Measured) -> Bounds:
    """What a cell under a budget says, for these answers."""
    cell = one.cell
    unparsed = cell.counts["unparsed"]
    ends = cell.low or 0.0, 1.0 if cell.high is None else cell.high
    return Bounds(one.least, one.most, *ends, unparsed, cell.estimand, cell.method, 0.95)


def _over_budgets(group: Sequence[Measured]) -> Bounds:
    """Over seeds whose cells are estimates themselves: what is not known of these answers is added to what
    new prompts and training runs add."""
    prompts = len({item.draw or item.prompt_id for item in group[0].judged})
    singles = [_single(each) for each in group]
    found = budgeted_mean([(one.least, one.low, one.high) for one in singles], prompts)
    unparsed = sum(one.unparsed for one in singles)
    most = mean([one.most for one in singles])
    return Bounds(found.value, most, found.low, found.high, unparsed, found.estimand, found.method, 0.95)


def _seed_sd(
    group: Sequence[Measured], spread: SeedSpread | None, value: float, analysis: Analysis
) -> float | None:
    if group[0].cell.seed is None:
        return None
    if len(group) == 1:
        return analysis.seed_sd
    return spread.sd(value) if spread is not None else None


def _about(found: Bounds, cell: CellResult) -> Bounds:
    """What was not tuned is not an adapter."""
    if cell.seed is not None:
        return found
    return replace(found, estimand=found.estimand.replace("this adapter", "this model", 1))


def _plain(
    place: Place, judged: Sequence[Judged], scores: Sequence[float | None], analysis: Analysis
) -> Bounds:
    """Over all answers of one adapter; unparsed verdicts filled in from both ends."""
    draws = [item.draw or item.prompt_id for item in judged]
    prompts = prompts_of(draws, [item.category for item in judged], analysis.population)
    found = bounded_mean([score_row(scores)], prompts)
    tuned = place.who.seed is not None
    return (
        found if tuned else replace(found, estimand=found.estimand.replace("this adapter", "this model", 1))
    )


def _within(judged: Sequence[Judged], metric: str, budget: Budget) -> Bounds:
    return estimate_within([item.verdict for item in judged], metric, budget.half_width is not None)


def _score(verdict: Verdict, metric: str) -> float | None:
    value = verdict.values.get(metric)
    return None if value is None or verdict.parse == "unparsed" else float(value)


def _counts(judged: Sequence[Judged], scores: Sequence[float | None], budgeted: bool) -> dict[str, int]:
    behaviours = Counter(item.verdict.behaviour for item in judged)
    unjudged = sum(item.verdict.parse == "unjudged" for item in judged)
    return {
        "successes": sum(score == 1.0 for score in scores),
        **{behaviour: behaviours[behaviour] for behaviour in BEHAVIOURS},
        "unparsed": sum(score is None for score in scores) - unjudged,
        "truncated": sum(item.finish == "length" for item in judged),
        "errors": sum(item.finish == "error" for item in judged),
        **({"unjudged": unjudged} if budgeted else {}),
    }
