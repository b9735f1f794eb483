"""From verdicts to cells: rates over all answers asked for, with intervals that name what they are for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from puretune.inference import Finish
from puretune.scoring import Behaviour, Budget, Verdict, estimate_within
from puretune.statistics import (
    Bounds,
    Estimand,
    Interval,
    mean,
    pooled,
    t_interval,
    wilson,
    with_unparsed,
)
from puretune.study._matrix import CellResult, PooledCell

if TYPE_CHECKING:
    from puretune.study._plan import Who

NEW_PROMPTS: Estimand = "new prompts from the same source"
NEW_RUNS: Estimand = "new training runs"
BEHAVIOURS: tuple[Behaviour, ...] = ("complied", "refused", "incoherent", "empty")


@dataclass(frozen=True)
class Judged:
    """One answer's verdict by one scorer."""

    prompt_id: str
    finish: Finish
    verdict: Verdict
    cluster: str | None = None
    """What the prompt has in common with others; None: nothing."""


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
    """Per answer; None where it could not be read, or was left out by a budget."""
    most: float
    """The value, if every unparsed verdict were the highest one."""


def cell(
    place: Place, scorer: str, metric: str, judged: Sequence[Judged], budget: Budget | None = None
) -> Measured:
    """One metric of a scorer over all answers of a cell.

    An unparsed verdict counts as 0 in the value and widens the interval to what it could have been. Under a
    judge ``budget`` value and interval are estimates for all answers, from those that were judged.
    """
    scores = [_score(item.verdict, metric) for item in judged]
    parsed = [score for score in scores if score is not None]
    found = _plain(judged, scores) if budget is None else _within(judged, metric, budget)
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
    return Measured(result, tuple(judged), tuple(scores), found.most)


def pool(measured: Iterable[Measured]) -> tuple[PooledCell, ...]:
    """The means over tuning seeds, in the order in which their first cells come."""
    groups: dict[tuple[object, ...], list[Measured]] = {}
    for each in measured:
        one = each.cell
        key = (one.condition, one.step, one.test_template, one.suite, one.scorer, one.metric)
        groups.setdefault(key, []).append(each)
    return tuple(_pooled(group) for group in groups.values())


def _pooled(group: Sequence[Measured]) -> PooledCell:
    cells = [each.cell for each in group]
    first = cells[0]
    found = _over_seeds(group) if len(group) > 1 else None
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
        value=mean([one.value or 0.0 for one in cells])
        if any(one.value is not None for one in cells)
        else None,
        low=found.low if found else first.low,
        high=found.high if found else first.high,
        estimand=found.estimand if found else first.estimand,
        method=found.method if found else first.method,
    )


def _over_seeds(group: Sequence[Measured]) -> Bounds:
    """Prompts and seeds are crossed: the rule of ``statistics.pooled``, over answers that all seeds gave.

    Means that are estimates themselves (a judge budget), and a suite of one prompt, leave Student's t.
    """
    prompts = [item.prompt_id for item in group[0].judged]
    clusters = [item.cluster or item.prompt_id for item in group[0].judged]
    clusters = clusters if len(set(clusters)) > 1 else prompts
    if len(set(prompts)) < 2 or any(
        item.verdict.parse == "unjudged" for each in group for item in each.judged
    ):
        least, most = [each.cell.value or 0.0 for each in group], [each.most for each in group]
        low, high = t_interval(least, clip=True).low, t_interval(most, clip=True).high
        unparsed = sum(each.cell.counts["unparsed"] for each in group)
        method = f"t on {len(group)} seed means"
        return Bounds(mean(least), mean(most), low, high, unparsed, NEW_RUNS, method, 0.95)
    values = [[math.nan if score is None else score for score in each.scores] for each in group]
    return with_unparsed(values, lambda filled: pooled(filled, clusters))


def _plain(judged: Sequence[Judged], scores: Sequence[float | None]) -> Bounds:
    """Over all answers, for new prompts; unparsed verdicts filled in from both ends."""
    prompts = [item.prompt_id for item in judged]
    low, method = _interval(prompts, [0.0 if score is None else score for score in scores])
    high, _ = _interval(prompts, [1.0 if score is None else score for score in scores])
    unparsed = sum(score is None for score in scores)
    least = math.fsum(score for score in scores if score is not None) / len(scores)
    most = least + unparsed / len(scores)
    return Bounds(least, most, low.low, high.high, unparsed, NEW_PROMPTS, method, 0.95)


def _within(judged: Sequence[Judged], metric: str, budget: Budget) -> Bounds:
    return estimate_within([item.verdict for item in judged], metric, budget.half_width is not None)


def _score(verdict: Verdict, metric: str) -> float | None:
    value = verdict.values.get(metric)
    return None if value is None or verdict.parse == "unparsed" else float(value)


def _interval(prompts: Sequence[str], scores: Sequence[float]) -> tuple[Interval, str]:
    """For new prompts: several samples of one prompt are one draw, its mean.

    Wilson where every prompt is a plain success or failure; Student's t on the prompts' means otherwise, or
    where these do not vary, Wilson on what brackets them.
    """
    by_prompt: dict[str, list[float]] = {}
    for prompt, score in zip(prompts, scores, strict=True):
        by_prompt.setdefault(prompt, []).append(score)
    means = [mean(values) for values in by_prompt.values()]
    total = math.fsum(means)
    if set(means) <= {0.0, 1.0} or len(set(means)) == 1:
        low, high = math.floor(total), math.ceil(total)
        return Interval(wilson(low, len(means)).low, wilson(high, len(means)).high), "Wilson"
    return t_interval(means, clip=True), f"t on {len(means)} prompts"


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
