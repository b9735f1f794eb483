"""What a judge may cost: an amount of money or a number of judgements, and how it is split across cells."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from puretune.data import Example
from puretune.errors import InputError
from puretune.inference import Answer
from puretune.scoring._metric import Metric
from puretune.scoring._types import Scorer
from puretune.scoring.judges import Judge, Notice

Item = tuple[Example, Answer]

_AMOUNT = re.compile(
    r"\s*\$?\s*([0-9][0-9,_]*(?:\.[0-9]+)?)\s*(USD|judgements?|judgments?)?\s*", re.IGNORECASE
)


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
