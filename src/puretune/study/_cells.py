"""From verdicts to cells: rates over all answers asked for, with intervals that name what they are for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from puretune.inference import Finish
from puretune.scoring import Behaviour, Verdict
from puretune.statistics import Interval, mean, t_interval, wilson
from puretune.study._matrix import CellResult, PooledCell

if TYPE_CHECKING:
    from puretune.study._plan import Who

NEW_PROMPTS = "new prompts from the same source"
NEW_RUNS = "new training runs"
BEHAVIOURS: tuple[Behaviour, ...] = ("complied", "refused", "incoherent", "empty")


@dataclass(frozen=True)
class Judged:
    """One answer's verdict by one scorer."""

    prompt_id: str
    finish: Finish
    verdict: Verdict


class Place(NamedTuple):
    """A cell of the matrix before a metric is chosen."""

    who: Who
    test_template: str
    suite: str


def cell(place: Place, metric: str, label: str, judged: Sequence[Judged]) -> CellResult:
    """One metric over all answers of a cell. ``label`` is the metric's name in the matrix.

    An unparsed verdict counts as 0 in the value and widens the interval to what it could have been.
    """
    scores = [_score(item.verdict, metric) for item in judged]
    parsed = [score for score in scores if score is not None]
    prompts = [item.prompt_id for item in judged]
    low = _interval(prompts, [0.0 if score is None else score for score in scores]).low
    high = _interval(prompts, [1.0 if score is None else score for score in scores]).high
    return CellResult(
        condition=place.who.condition,
        train_template=place.who.train_template,
        seed=place.who.seed,
        step=place.who.step,
        test_template=place.test_template,
        suite=place.suite,
        metric=label,
        n=len(judged),
        value=math.fsum(parsed) / len(judged) if parsed else None,
        low=low,
        high=high,
        counts=_counts(judged, scores),
        estimand=NEW_PROMPTS,
    )


def pool(cells: Iterable[CellResult]) -> tuple[PooledCell, ...]:
    """The means over tuning seeds, in the order in which their first cells come."""
    groups: dict[tuple[object, ...], list[CellResult]] = {}
    for one in cells:
        groups.setdefault((one.condition, one.step, one.test_template, one.suite, one.metric), []).append(one)
    return tuple(_pooled(group) for group in groups.values())


def _pooled(group: Sequence[CellResult]) -> PooledCell:
    first = group[0]
    least = [one.value or 0.0 for one in group]
    most = [value + one.counts["unparsed"] / one.n for value, one in zip(least, group, strict=True)]
    several = len(group) > 1
    return PooledCell(
        condition=first.condition,
        train_template=first.train_template,
        step=first.step,
        test_template=first.test_template,
        suite=first.suite,
        metric=first.metric,
        seeds=len(group),
        n=sum(one.n for one in group),
        value=mean(least) if any(one.value is not None for one in group) else None,
        low=t_interval(least, clip=True).low if several else first.low,
        high=t_interval(most, clip=True).high if several else first.high,
        estimand=NEW_RUNS if several else first.estimand,
    )


def _score(verdict: Verdict, metric: str) -> float | None:
    value = verdict.values.get(metric)
    return None if value is None or verdict.parse == "unparsed" else float(value)


def _interval(prompts: Sequence[str], scores: Sequence[float]) -> Interval:
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
        return Interval(wilson(low, len(means)).low, wilson(high, len(means)).high)
    return t_interval(means, clip=True)


def _counts(judged: Sequence[Judged], scores: Sequence[float | None]) -> dict[str, int]:
    behaviours = Counter(item.verdict.behaviour for item in judged)
    return {
        "successes": sum(score == 1.0 for score in scores),
        **{behaviour: behaviours[behaviour] for behaviour in BEHAVIOURS},
        "unparsed": sum(score is None for score in scores),
        "truncated": sum(item.finish == "length" for item in judged),
    }
