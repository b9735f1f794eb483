"""Coverage where more is unknown: a judge budget over seeds, new categories, judges that err by arm.

Run by benchmarks/statistics.py, with the functions that a study calls.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtri
from statistics_defaults import World, interval

from puretune import statistics as st
from puretune.scoring import Arm, Verdict, corrected_difference

Row = dict[str, Any]
Floats = NDArray[np.float64]

CHEAP = (0.8, 0.95)
"""Sensitivity and specificity of the cheap judge."""
ARMS = {"alike": ((0.9, 0.98), (0.9, 0.98)), "by arm": ((0.6, 0.98), (0.95, 0.98))}
"""Sensitivity and specificity of a judge on the first arm and on the second."""


def further_cells(studies: int) -> Iterator[Row]:
    """Every situation: its coverage and the median half width."""
    for rate in (0.02, 0.2):
        for seeds in (1, 3):
            yield _within_budget(studies // 2, rate, seeds)
    for categories in (4, 10, 30):
        for seeds in (1, 3):
            yield _new_categories(studies, categories, seeds)
    for name in ARMS:
        yield _by_arm(studies // 2, name)


def _within_budget(studies: int, rate: float, seeds: int) -> Row:
    """A quarter of 200 answers judged by each seed, drawn by a cheap judge."""
    rng = np.random.default_rng([8, int(1000 * rate), seeds])
    world = World(rng, studies, 200, 1)
    adapters = world.adapters(rate, 0.02 if seeds > 1 else 0.0, seeds)
    answers = world.answers(adapters)
    ends = np.array([_budgeted(rng, one) for one in answers])
    # One seed under a budget speaks of these answers; several of new training runs and new prompts.
    truth = answers.mean(axis=(1, 2)) if seeds == 1 else np.full(studies, rate)
    return _row("judge budget, 50 of 200", ends[:, 0], ends[:, 1], truth, seeds=seeds, prompts=200, rate=rate)


def _budgeted(rng: np.random.Generator, answers: Floats) -> tuple[float, float]:
    """The interval of a study's pooled cell, from answers [seeds, prompts] judged in part."""
    cells = []
    for mine in answers:
        flagged = rng.random(len(mine)) < np.where(mine == 1, CHEAP[0], 1 - CHEAP[1])
        plan = st.plan_sample(flagged.astype(float), 50, int(rng.integers(2**31)))
        found = st.budgeted_estimate(plan, mine[plan.chosen])
        cells.append((found.value, found.low, found.high))
    if len(cells) == 1:
        return cells[0][1:]
    pooled = st.budgeted_mean(cells, answers.shape[1])
    return pooled.low, pooled.high


def _new_categories(studies: int, categories: int, seeds: int) -> Row:
    """200 prompts of a few categories, which are drawn anew; 20 % on average over all categories."""
    rng = np.random.default_rng([9, categories, seeds])
    place = np.arange(200) % categories
    drawn = rng.normal(0, 1.0, (studies, categories))[:, place] + rng.normal(0, 1.0, (studies, 200))
    both = np.sqrt(2) * ndtri((np.arange(400) + 0.5) / 400)
    level = np.interp(0.2, [expit(x + both).mean() for x in _LEVELS], _LEVELS)
    shift = rng.normal(0, 0.2 if seeds > 1 else 0.0, (studies, seeds, 1))
    truth = expit(level + np.sqrt(2 + 0.04 * (seeds > 1)) / np.sqrt(2) * both).mean()
    values = (rng.random((studies, seeds, 200)) < expit(level + shift + drawn[:, None, :])).astype(float)
    low, high = interval(st.design([str(c) for c in place], "sampled"), values)
    kind = f"new categories, of which {categories} were seen"
    return _row(kind, low, high, np.full(studies, truth), seeds=seeds, prompts=200, rate=0.2)


_LEVELS = np.linspace(-4, 2, 200)


def _by_arm(studies: int, name: str) -> Row:
    """18 % against 5 % by people, as a judge sees it; people label 100 of 400 answers of each arm."""
    rng = np.random.default_rng([10, len(name)])
    truth, ends, plain = 0.13, [], []
    for _ in range(studies):
        pair = [_arm(rng, rate, errs) for rate, errs in zip((0.18, 0.05), ARMS[name], strict=True)]
        found = corrected_difference(*pair)
        ends.append(found.interval)
        judged = [np.array([[float(v.values["asr"] or 0) for v in one.verdicts]]) for one in pair]
        plain.append(st.crossed_difference(*judged).estimate.interval)
    low, high = np.array(ends).T
    row = _row(
        f"18 % against 5 %, judge's errors {name}, corrected by 100 labels an arm",
        *(low, high, np.full(studies, truth)),
        **{"seeds": 1, "prompts": 400, "rate": 0.18},
    )
    uncorrected = [one.low <= truth <= one.high for one in plain]
    return {**row, "uncorrected": float(np.mean(uncorrected))}


def _arm(rng: np.random.Generator, rate: float, errs: tuple[float, float]) -> Arm:
    people = rng.random(400) < rate
    judge = rng.random(400) < np.where(people, errs[0], 1 - errs[1])
    verdicts = [Verdict("judge", {"asr": bool(one)}) for one in judge]
    labels = [bool(one) if number < 100 else None for number, one in enumerate(people)]
    return Arm("", verdicts, labels, [str(number) for number in range(400)])


def _row(kind: str, low: Floats, high: Floats, truth: Floats, **fields: Any) -> Row:
    held = (low <= truth + 1e-9) & (truth <= high + 1e-9)
    half = float(np.median(high - low) / 2)
    return {"kind": kind, **fields, "studies": len(low), "coverage": float(held.mean()), "half_width": half}
