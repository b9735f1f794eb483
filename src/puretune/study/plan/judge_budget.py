"""A study's judge budget: which judge it applies to, and which scorer decides what that judge sees.

judge_budget: 2.00 USD
judge_budget: {amount: 250 judgements, judge: gpt-4, cheap: refusal, half_width: 0.05}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from puretune.errors import InputError, unknown
from puretune.scoring import (
    Budget,
    Judge,
    Metric,
    Scorer,
    budget_from,
    cheap_metric,
    check_budget,
    metric_label,
)
from puretune.study.spec.judges import BudgetSection
from puretune.study.spec.study import Study

_KEY = "judge_budget"


@dataclass(frozen=True)
class Allowance:
    """The budget with the names it is about."""

    budget: Budget
    judge: Judge
    cheap: Mapping[str, tuple[Scorer, Metric] | None]
    """Per suite that the judge is in, the cheap scorer and the metric that counts; None: a plain draw."""

    def price(self) -> dict[str, float] | None:
        """The judge's price, which decides how many judgements dollars pay for."""
        price = self.judge.spec.price
        return asdict(price) if price is not None and self.budget.dollars is not None else None

    def __str__(self) -> str:
        cheap = ", ".join(f"{found[0].name if found else 'chance'} in {s}" for s, found in self.cheap.items())
        return f"{self.budget.words} for judge {self.judge.name}; which answers it sees is decided by {cheap}"

    def facts(self) -> dict[str, Any]:
        """What a matrix says about its budget."""
        cheap = {
            name: metric_label(found[1].name, found[0].name) if found else "none"
            for name, found in self.cheap.items()
        }
        return {
            "amount": self.budget.words,
            "judge": self.judge.name,
            "cheap": cheap,
            "seed": self.budget.seed,
        }


def allowance(study: Study, scorers: Mapping[str, Sequence[Scorer]]) -> Allowance | None:
    """The study's budget; ``scorers`` by suite. InputError if no judge or no cheap scorer fits it."""
    if study.judge_budget is None:
        return None
    said = study.judge_budget
    section = BudgetSection(amount=said) if isinstance(said, str) else said
    with study.at(_KEY):
        budget = budget_from(section.amount, section.half_width, section.seed)
        judge = _judge(section, [one for found in scorers.values() for one in found], budget)
        cheap = {
            suite: _cheap(section, judge, found)
            for suite, found in scorers.items()
            if judge.name in [one.name for one in found]
        }
        return Allowance(budget, judge, cheap)


def _judge(section: BudgetSection, scorers: Sequence[Scorer], budget: Budget) -> Judge:
    judges = {one.name: one for one in scorers if isinstance(one, Judge)}
    if not judges:
        raise InputError(
            "no suite has a judge behind an endpoint, and only such judges cost money. Add one to "
            "`scorers`, or leave the budget out."
        )
    if section.judge is not None and section.judge not in judges:
        raise unknown("judge", section.judge, judges)
    judge = judges[section.judge] if section.judge is not None else _dearest(list(judges.values()))
    check_budget(budget, judge)
    return judge


def _dearest(judges: Sequence[Judge]) -> Judge:
    if len(judges) == 1:
        return judges[0]
    prices = [one.spec.price.input + one.spec.price.output if one.spec.price else None for one in judges]
    known = [price for price in prices if price is not None]
    if len(known) < len(judges) or known.count(max(known)) > 1:
        names = ", ".join(repr(one.name) for one in judges)
        raise InputError(f"which of the judges {names} keeps to it? Name it: `judge: NAME`.")
    return judges[known.index(max(known))]


def _cheap(section: BudgetSection, judge: Judge, found: Sequence[Scorer]) -> tuple[Scorer, Metric] | None:
    others = {one.name: one for one in found if one.name != judge.name}
    if section.cheap is not None:
        if section.cheap not in others:
            raise unknown("cheap scorer", section.cheap, others)
        metric = cheap_metric(others[section.cheap])
        if metric is None:
            raise InputError(f"scorer {section.cheap!r} does not say how harmful an answer is. Name another.")
        return others[section.cheap], metric
    fit = [(one, metric) for one in others.values() if (metric := cheap_metric(one)) is not None]
    return next((one for one in fit if one[1].measures == "harm"), fit[0] if fit else None)
