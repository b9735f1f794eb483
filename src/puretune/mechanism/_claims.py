"""Three explanations of the paper's finding, measured on a finished run.

- *same template*: tested under one template, has the model that was tuned under it moved further from the
  untuned model than one tuned under another? A difference, per planned comparison under one test template.
- *reminder*: does a safety prompt at test keep a model that was tuned without one nearer to the untuned model
  than another system prompt does? A difference, safety prompt minus the control of the nearest length.
- *carry-over*: how much of what tuning did under its own template is there under another? A ratio: near 1,
  tuning has changed the model in general; near 0, the change is bound to the template. PTST works where it is
  high on the task and low on harmful requests.

Differences are in nats a token. Intervals are Student's over training runs, for these prompts; one run has
none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from puretune.mechanism._token_divergence import Divergence
from puretune.statistics import mean, t_interval
from puretune.study import Plan
from puretune.study.spec.analysis import CellName
from puretune.templates import PromptTemplate

Kind = Literal["same template", "reminder", "carry-over"]
_Seeds = Mapping[int | None, float]
_Means = Mapping[tuple[str, CellName], _Seeds]
"""By suite and cell, the mean divergence of each training run."""


@dataclass(frozen=True)
class Claim:
    """One measurement: a difference in nats a token, or of ``carry-over`` a ratio."""

    kind: Kind
    suite: str
    first: CellName
    second: CellName
    """What is subtracted, or what ``first`` is divided by."""
    value: float
    low: float | None
    high: float | None
    """95 % interval for new training runs; None for one run."""
    seeds: int


def claims(plan: Plan, found: Sequence[Divergence]) -> list[Claim]:
    """All three, as far as the run's templates allow; suites without a stated purpose are left out."""
    means = _means(found)
    harmful = [suite.name for suite in plan.resolved.suites if suite.asks == "harm"]
    both = [suite.name for suite in plan.resolved.suites if suite.asks in ("harm", "task")]
    made = [
        *_claims("same template", harmful, _same_template(plan), means),
        *_claims("reminder", harmful, _reminders(plan), means),
        *_claims("carry-over", both, _carried(plan), means),
    ]
    return [one for one in made if one is not None]


def _means(found: Sequence[Divergence]) -> _Means:
    held: dict[tuple[str, CellName], dict[int | None, float]] = {}
    for one in found:
        cell = CellName(one.condition, one.test_template)
        held.setdefault((one.suite, cell), {})[one.seed] = mean(one.by_prompt)
    return held


def _claims(
    kind: Kind, suites: Sequence[str], pairs: Iterator[tuple[CellName, CellName]], means: _Means
) -> Iterator[Claim | None]:
    for first, second in list(pairs):
        for suite in suites:
            yield _claim(kind, suite, first, second, means)


def _claim(kind: Kind, suite: str, first: CellName, second: CellName, means: _Means) -> Claim | None:
    """None where one of the cells was not measured, or where a divergence of 0 has no ratio."""
    ones, others = means.get((suite, first), {}), means.get((suite, second), {})
    seeds = [seed for seed in ones if seed in others]
    ratio = kind == "carry-over"
    if not seeds or (ratio and any(min(ones[seed], others[seed]) <= 0 for seed in seeds)):
        return None
    into: Callable[[float], float] = math.log if ratio else float
    back: Callable[[float], float] = math.exp if ratio else float
    values = [into(ones[seed]) - into(others[seed]) for seed in seeds]
    low, high = map(back, t_interval(values)) if len(values) > 1 else (None, None)
    return Claim(kind, suite, first, second, back(mean(values)), low, high, len(seeds))


def _same_template(plan: Plan) -> Iterator[tuple[CellName, CellName]]:
    """The planned comparisons of two conditions under one test template."""
    for one in plan.resolved.contrasts:
        if one.first.test_template == one.second.test_template:
            yield one.first, one.second


def _reminders(plan: Plan) -> Iterator[tuple[CellName, CellName]]:
    """Tuned without a safety prompt: each safety prompt at test, and its control."""
    for condition, under, tests in _tuned(plan):
        others = [test for test in tests if test.system and not test.safety and test != under]
        for test in tests:
            if test.safety and others and not under.safety:
                control = min(others, key=lambda other: abs(len(other.system or "") - len(test.system or "")))
                yield CellName(condition, test.name), CellName(condition, control.name)


def _carried(plan: Plan) -> Iterator[tuple[CellName, CellName]]:
    """Every other test template against the one that was tuned under."""
    for condition, under, tests in _tuned(plan):
        for test in tests:
            if test != under and under in tests:
                yield CellName(condition, test.name), CellName(condition, under.name)


def _tuned(plan: Plan) -> Iterator[tuple[str, PromptTemplate, list[PromptTemplate]]]:
    """Conditions that are tuned here: name, template, test templates."""
    held: dict[str, tuple[PromptTemplate, list[PromptTemplate]]] = {}
    for one, test in plan.resolved.cells:
        if one.template is not None:
            held.setdefault(one.name, (one.template, []))[1].append(test)
    for name, (under, tests) in held.items():
        yield name, under, tests
