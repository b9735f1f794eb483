"""Judging within a budget: a cheap scorer has seen every answer, the judge sees a random part of them.

What the judge would say of all answers is then estimated, with an interval that holds whatever the cheap
scorer is worth (``puretune.statistics.budgeted_estimate``); nothing that the judge did not say is guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from puretune.scoring._judge_budget import (
    Budget,
    Item,
    affordable,
)
from puretune.scoring._types import Verdict
from puretune.scoring.judges import Judge
from puretune.statistics import Bounds, SamplePlan, budgeted_estimate, plan_sample, with_unparsed

_ROUND = 40
"""Judgements per cell between two looks at its interval."""


@dataclass(frozen=True)
class Draw:
    """The answers of one cell, what a cheap scorer says of them, and what may be spent on them."""

    items: Sequence[Item]
    cheap: Sequence[float]
    """Per answer, 0 to 1; all alike where nothing is known: then the draw is a plain random one."""
    budget: Budget


def judge_within(judge: Judge, draws: Sequence[Draw]) -> list[list[Verdict]]:
    """Of each draw one verdict per answer, in order; those that are not judged have ``parse`` "unjudged".

    ``raw`` keeps of every answer the cheap score, its place in the random order, and the number of judgements
    that the budget pays for, so that :func:`estimate_within` needs nothing else. All draws are judged
    together, with a half width in rounds. Errors are those of ``Judge.score``; what was judged is kept.
    """
    numbers = [affordable(draw.budget, judge, draw.items) for draw in draws]
    plans = [_plan(draw, number) for draw, number in zip(draws, numbers, strict=True)]
    done = [0] * len(draws)
    while any(done[k] < numbers[k] for k in range(len(draws))):
        for k, draw in enumerate(draws):
            done[k] = min(numbers[k], done[k] + (_ROUND if draw.budget.half_width else numbers[k]))
        chosen = [_first(draw, plan, n) for draw, plan, n in zip(draws, plans, done, strict=True)]
        judge.prepare([item for items in chosen for item in items])  # one progress for all cells
        for k, draw in enumerate(draws):
            if done[k] and _precise(judge, draw, plans[k], chosen[k]):
                numbers[k] = done[k]
    return [_verdicts(judge, draw, plan, n) for draw, plan, n in zip(draws, plans, done, strict=True)]


def estimate_within(verdicts: Sequence[Verdict], metric: str, stopped: bool) -> Bounds:
    """What the judge would say of all answers on average, from verdicts made by :func:`judge_within`.

    ``stopped``: the number of judgements was decided by a half width, so the interval is one that holds at
    every number. Estimand: these answers.
    """
    cheap = [float(verdict.raw["cheap"]) for verdict in verdicts]
    number = int(verdicts[0].raw["budget"])
    plan = plan_sample(cheap, max(number, 1), 0)
    order = np.argsort([int(verdict.raw["place"]) for verdict in verdicts])
    labels = _labels([verdicts[place] for place in order], metric)
    return _bounds(replace(plan, order=order), labels, stopped)


def _plan(draw: Draw, number: int) -> SamplePlan:
    return plan_sample(draw.cheap, max(number, 1), draw.budget.seed)


def _first(draw: Draw, plan: SamplePlan, number: int) -> list[Item]:
    return [draw.items[place] for place in plan.order[:number]]


def _precise(judge: Judge, draw: Draw, plan: SamplePlan, chosen: Sequence[Item]) -> bool:
    """Whether the interval of the judge's first metric is short enough, unparsed verdicts and all."""
    wanted = draw.budget.half_width
    if wanted is None:
        return False
    found = _bounds(plan, _labels(judge.score(chosen), judge.metrics[0].name), stopped=True)
    return (found.high - found.low) / 2 <= wanted


def _labels(ordered: Iterable[Verdict], metric: str) -> NDArray[Any]:
    """The judge's values in the order of the draw, as far as it judged; NaN for the unparsed."""
    values = [verdict.values.get(metric) for verdict in ordered if verdict.parse != "unjudged"]
    return np.asarray([np.nan if value is None else float(value) for value in values], dtype=np.float64)


def _bounds(plan: SamplePlan, labels: NDArray[Any], stopped: bool) -> Bounds:
    if len(labels) == 0:
        return Bounds(0.0, 1.0, 0.0, 1.0, 0, "these answers", "nothing judged", 0.95)
    return with_unparsed(labels, lambda filled: budgeted_estimate(plan, filled, anytime=stopped))


def _verdicts(judge: Judge, draw: Draw, plan: SamplePlan, number: int) -> list[Verdict]:
    judged = dict(zip(plan.order[:number].tolist(), judge.score(_first(draw, plan, number)), strict=True))
    places = {int(answer): place for place, answer in enumerate(plan.order)}
    verdicts = []
    for k, cheap in enumerate(draw.cheap):
        drawn = {"cheap": cheap, "place": places[k], "budget": plan.budget}
        verdict = judged.get(k) or Verdict(judge.name, {}, parse="unjudged")
        verdicts.append(replace(verdict, raw={**verdict.raw, **drawn}))
    return verdicts
