"""Judging within a budget: a cheap scorer has seen every answer, the judge sees a random part of them.

What the judge would say of all answers is then estimated, with an interval that holds whatever the cheap
scorer is worth (``puretune.statistics.budgeted_estimate``); nothing that the judge did not say is guessed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from puretune.data import Example
from puretune.errors import InputError
from puretune.inference import Answer
from puretune.scoring._metric import Metric
from puretune.scoring._types import Scorer, Verdict
from puretune.scoring.judges import Judge, Notice
from puretune.statistics import Bounds, SamplePlan, budgeted_estimate, plan_sample, with_unparsed

Item = tuple[Example, Answer]

_AMOUNT = re.compile(
    r"\s*\$?\s*([0-9][0-9,_]*(?:\.[0-9]+)?)\s*(USD|judgements?|judgments?)?\s*", re.IGNORECASE
)
_ROUND = 40
"""Judgements per cell between two looks at its interval."""


@dataclass(frozen=True)
class Budget:
    """What a judge may cost; exactly one of ``dollars`` and ``judgements`` is given."""

    dollars: float | None = None
    """By the estimate of ``puretune judge cost``, before the first request."""
    judgements: int | None = None
    half_width: float | None = None
    """Stop judging a cell once half its interval is this long, in (0, 1); None: use the budget up."""
    seed: int = 0
    """Seed of the draw of answers."""

    @property
    def words(self) -> str:
        """The budget as a reader writes it."""
        if self.dollars is not None:
            amount = f"{self.dollars:,.2f} USD"
        else:
            amount = f"{self.judgements:,} judgement{'' if self.judgements == 1 else 's'}"
        return amount + (f", stopping at +-{self.half_width:.1%}" if self.half_width else "")


def budget_from(amount: str, half_width: float | None = None, seed: int = 0) -> Budget:
    """The budget that ``2.00 USD`` or ``250 judgements`` says; InputError for anything else."""
    found = _AMOUNT.fullmatch(amount)
    number = float(re.sub("[,_]", "", found[1])) if found else 0.0
    unit = (found[2] or ("USD" if "$" in amount else "")).lower() if found else ""
    whole = unit == "usd" or number == int(number)
    if not unit or not number or not whole:
        raise InputError(f"judge budget {amount!r}: write `2.00 USD` or `250 judgements`.")
    if half_width is not None and not 0 < half_width < 1:
        raise InputError(f"half_width is {half_width!r}; use a number between 0 and 1, such as 0.03.")
    if unit == "usd":
        return Budget(dollars=number, half_width=half_width, seed=seed)
    return Budget(judgements=int(number), half_width=half_width, seed=seed)


def check_budget(budget: Budget, judge: Judge) -> None:
    """InputError for a budget in dollars where the judge has no price."""
    if budget.dollars is not None and judge.spec.price is None:
        raise InputError(
            f"judge {judge.name!r} has no price, so a budget in USD cannot be kept. Give it a `price`, or "
            "write the budget as a number of judgements."
        )


def shared(budget: Budget, sizes: Sequence[int]) -> list[Budget]:
    """The budget split across cells in proportion to their numbers of answers."""
    total, before, parts = sum(sizes), 0, []
    for size in sizes:
        if budget.dollars is not None:
            parts.append(replace(budget, dollars=budget.dollars * size / total))
        else:
            whole = budget.judgements or 0
            number = whole * (before + size) // total - whole * before // total
            parts.append(replace(budget, judgements=number))
        before += size
    return parts


def affordable(budget: Budget, judge: Judge, items: Sequence[Item]) -> int:
    """How many judgements of these answers a budget pays for: at their mean price, were none known yet.

    InputError as for :func:`check_budget`.
    """
    check_budget(budget, judge)
    if budget.judgements is not None:
        return min(budget.judgements, len(items))
    each = (judge.fresh(items).dollars or 0.0) / len(
        {(example.query, answer.text) for example, answer in items}
    )
    return min(math.floor((budget.dollars or 0.0) / each), len(items)) if each else len(items)


def within(notice: Notice, budget: Budget) -> Notice:
    """The notice of a judge that keeps to a budget: what is sent at most."""
    asked = notice.estimate
    most = (budget.judgements, asked.requests) if budget.dollars is None else (budget.dollars, asked.dollars)
    share = (most[0] or 0) / most[1] if most[1] else 1.0
    return notice if share >= 1 else replace(notice, estimate=asked.times(share), upper=True)


def cheap_metric(scorer: Scorer) -> Metric | None:
    """The metric of a scorer by which it can decide which answers are judged; None if it has none.

    One that grades harm, else one that says yes or no to it, else one of refusals.
    """
    harm = sorted((one for one in scorer.metrics if one.measures == "harm"), key=lambda one: not one.graded)
    refusal = [one for one in scorer.metrics if one.measures == "refusal"]
    return next((one for one in (*harm, *refusal)), None)


def cheap_scores(values: Iterable[Mapping[str, float | bool | None]], metric: Metric) -> list[float]:
    """How harmful a cheap scorer finds each answer, 0 to 1; not refusing counts as harm, unparsed as 0.5."""
    found = [each.get(metric.name) for each in values]
    scores = [0.5 if value is None else float(value) for value in found]
    return [1 - score for score in scores] if metric.measures == "refusal" else scores


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
