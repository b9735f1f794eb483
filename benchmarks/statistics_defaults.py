"""Coverage and errors of what puretune does by itself: cells, pooled cells, the planned comparison.

Truth: adapters of one condition have rates drawn from a beta distribution (mean and standard deviation given;
the latter at most the mean itself), prompts have effects of their own on the logit scale, the same under
every condition, and categories differ by fixed effects. A one-seed interval is held against its own adapter's
rate, one of several seeds against the mean over all training runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtri, stdtr, stdtrit

from puretune import statistics as st
from puretune.statistics import _cells as cells
from puretune.statistics import _crossed as crossed

Row = dict[str, Any]
Floats = NDArray[np.float64]

RATES = (0.0, 0.01, 0.05, 0.1, 0.2, 0.5)
SEEDS = (1, 3, 5, 10)
SPREADS = (0.0, 0.02, 0.05, 0.15)
SIZES = (20, 100, 400)
CATEGORIES = (1, 4)
OTHERS = ((0.11, 0.03), (0.05, 0.02), (0.03, 0.01))
"""Rate and seed sd of a study's further conditions, in the shape of the paper's matrix."""
GRADES = np.array([0.0, 0.25, 0.5, 0.75, 1.0])


# --- What is drawn -----------------------------------------------------------------------------------------


class World:
    """Prompts with their effects and categories; answers of conditions to them."""

    def __init__(
        self, rng: np.random.Generator, studies: int, prompts: int, categories: int, sd: float = 1.0
    ):
        self.rng, self.studies, self.prompts = rng, studies, prompts
        self.category = np.arange(prompts) % categories
        fixed = np.linspace(-1.2, 1.2, categories) if categories > 1 else np.zeros(1)
        self.effect = rng.normal(0, sd, (studies, prompts)) + fixed[self.category]
        spread = (fixed[:, None] + sd * ndtri((np.arange(200) + 0.5) / 200)).ravel()
        self.grid = np.linspace(-14, 10, 600)
        self.rate_at = expit(self.grid[:, None] + spread).mean(axis=1)
        self.plan = st.design([str(c) for c in self.category] if categories > 1 else prompts)

    def adapters(self, rate: float, sd: float, seeds: int) -> Floats:
        """Each adapter's rate over all prompts, [studies, seeds]."""
        shape, sd = (self.studies, seeds), min(sd, rate, 1 - rate)
        if rate == 0 or sd == 0:
            return np.full(shape, rate)
        size = rate * (1 - rate) / sd**2 - 1
        return self.rng.beta(rate * size, (1 - rate) * size, shape)

    def answers(self, adapters: Floats, greedy: bool = False) -> Floats:
        """0/1 answers [studies, seeds, prompts]; ``greedy``: all seeds draw the same luck for a prompt."""
        level = np.interp(adapters, self.rate_at, self.grid)
        chance = expit(level[:, :, None] + self.effect[:, None, :])
        chance = np.where(adapters[:, :, None] > 0, chance, 0.0)
        shape = (self.studies, 1, self.prompts) if greedy else chance.shape
        return np.asarray(self.rng.random(shape) < chance, dtype=np.float64)


# --- Cells -------------------------------------------------------------------------------------------------


def interval(plan: st.Design, values: Floats, spread: st.SeedSpread | None = None) -> tuple[Floats, Floats]:
    """The default interval of a cell, for all studies at once."""
    moments = plan.moments(values)
    variance, freedom = crossed.variance_of_mean(moments, moments.scale, spread)
    alone = values.shape[-2] == 1 and not plan.sampled
    return crossed.interval_of_mean(moments, variance, freedom, one_draw_each=alone)


def cell_coverage(studies: int) -> Iterator[Row]:
    """One condition alone: every rate, number of seeds, seed sd, number of prompts, with categories or
    not."""
    for seeds in SEEDS:
        for prompts in SIZES:
            for categories in CATEGORIES:
                for rate in RATES:
                    for sd in (0.0,) if seeds == 1 or rate == 0 else SPREADS:
                        if sd <= max(rate, 0.0) or sd == 0:
                            yield _cell(studies, seeds, prompts, categories, rate, sd)


def _cell(studies: int, seeds: int, prompts: int, categories: int, rate: float, sd: float) -> Row:
    count = max(200, min(studies, studies * 400 // (seeds * prompts)))
    world = World(_rng(1, seeds, prompts, categories, rate, sd), count, prompts, categories)
    low, high = interval(world.plan, world.answers(world.adapters(rate, sd, seeds)))
    fields = {"seeds": seeds, "prompts": prompts, "categories": categories, "rate": rate, "seed_sd": sd}
    return _row("cell", low, high, rate, **fields)


def special_cells(studies: int) -> Iterator[Row]:
    """Graded scores near 0, seeds that answer nearly alike, several samples, and variance from a whole
    study."""
    for rate in (0.02, 0.05, 0.2):
        for prompts in SIZES:
            yield _graded(studies, rate, prompts)
            yield _greedy(studies, rate, prompts)
            yield _sampled(studies, rate, prompts)
    for rate, sd in ((0.18, 0.05), (0.18, 0.02), (0.05, 0.03), (0.01, 0.01)):
        yield _borrowed(studies, rate, sd)


def _graded(studies: int, rate: float, prompts: int) -> Row:
    """Scores 1 to 5 as [0, 1], most of them 0; the mean is ``rate``."""
    rng = _rng(2, rate, prompts)
    share = rate / 0.4
    chance = (
        np.array([0.0, 0.6, 0.25, 0.1, 0.05]) * share / (np.array([0.6, 0.25, 0.1, 0.05]) @ GRADES[1:]) * 0.4
    )
    chance[0] = 1 - chance.sum()
    values = rng.choice(GRADES, (studies, 1, prompts), p=chance)
    low, high = interval(st.design(prompts), values)
    return _row("graded", low, high, rate, seeds=1, prompts=prompts, rate=rate)


def _greedy(studies: int, rate: float, prompts: int) -> Row:
    """Three seeds that share a prompt's luck: they answer it alike."""
    world = World(_rng(3, rate, prompts), studies, prompts, 1)
    low, high = interval(world.plan, world.answers(world.adapters(rate, 0.0, 3), greedy=True))
    return _row("alike seeds", low, high, rate, seeds=3, prompts=prompts, rate=rate)


def _sampled(studies: int, rate: float, prompts: int) -> Row:
    """Five samples of each prompt by one adapter."""
    world = World(_rng(4, rate, prompts), studies, prompts, 1)
    answers = world.answers(np.full((studies, 5), rate)).mean(axis=1, keepdims=True)
    low, high = interval(world.plan, answers)
    return _row("5 samples", low, high, rate, seeds=1, prompts=prompts, rate=rate)


def _borrowed(studies: int, rate: float, sd: float) -> Row:
    """Three seeds, 100 prompts, seed variance from four conditions."""
    world = World(_rng(5, rate, sd), studies, 100, 4)
    held = [world.answers(world.adapters(*one, 3)) for one in ((rate, sd), *OTHERS)]
    low, high = interval(world.plan, held[0], crossed.seed_spread([[world.plan.moments(v)] for v in held]))
    return _row("in a study of 4 conditions", low, high, rate, seeds=3, prompts=100, rate=rate, seed_sd=sd)


# --- Comparisons -------------------------------------------------------------------------------------------


COMPARISONS: dict[str, tuple[tuple[float, float], tuple[float, float], Sequence[tuple[float, float]]]] = {
    "18 % against 1 %, seed sd 4 and 1": ((0.18, 0.04), (0.01, 0.01), OTHERS),
    "18 % against 1 %, seed sd 5 and 1": ((0.18, 0.05), (0.01, 0.01), OTHERS),
    "no difference: all alike": ((0.1, 0.03), (0.1, 0.03), [(0.1, 0.03)] * 3),
    "no difference: no seed variance": ((0.1, 0.0), (0.1, 0.0), [(0.1, 0.0)] * 3),
    "no difference: 18 %, the others 3 %": ((0.18, 0.05), (0.18, 0.05), [(0.03, 0.01)] * 3),
    "no difference: sd 5, the others 2.5": ((0.1, 0.05), (0.1, 0.05), [(0.1, 0.025)] * 3),
    "no difference: sd 5, the others 1": ((0.1, 0.05), (0.1, 0.05), [(0.1, 0.01)] * 3),
    "no difference: sd 15, the others 3": ((0.3, 0.15), (0.3, 0.15), [(0.3, 0.03)] * 3),
    "no difference: 1 %": ((0.01, 0.01), (0.01, 0.01), OTHERS),
    "no difference: two conditions, sd 15": ((0.3, 0.15), (0.3, 0.15), []),
    "2 % against 5 %": ((0.02, 0.01), (0.05, 0.02), OTHERS),
}


def comparisons(studies: int) -> Iterator[Row]:
    """The planned comparison: how often it finds a difference, and how often its interval holds the truth."""
    for name, (first, second, others) in COMPARISONS.items():
        for seeds, prompts in ((3, 100), (3, 400), (5, 100)):
            yield _compared(studies, name, [first, second, *others], seeds, prompts)
    for rates in ((0.1, 0.1), (0.01, 0.01), (0.02, 0.05)):
        for prompts in SIZES:
            yield _one_seed(studies, rates, prompts, graded=False)
            yield _one_seed(studies, rates, prompts, graded=True)


def differences(
    plan: st.Design, held: Sequence[Floats], borrow: bool = True
) -> tuple[Floats, Floats, Floats]:
    """First minus second of ``held``, its standard error and degrees of freedom, for all studies at once."""
    moments = [plan.moments(values) for values in held]
    spread = crossed.seed_spread([[one] for one in moments]) if borrow else None
    both = plan.moments(held[0] - held[1])
    variance, freedom = cells.variance_of_difference(both, moments[0].scale + moments[1].scale, spread)
    return both.mean, np.sqrt(variance), freedom


def _compared(
    studies: int, name: str, conditions: Sequence[tuple[float, float]], seeds: int, prompts: int
) -> Row:
    count = max(500, studies * 100 // prompts)
    world = World(_rng(6, seeds, prompts, *conditions[0], *conditions[-1]), count, prompts, 4)
    held = [world.answers(world.adapters(*one, seeds)) for one in conditions]
    return _found(name, *differences(world.plan, held), conditions[0][0] - conditions[1][0], seeds, prompts)


def _one_seed(studies: int, rates: tuple[float, float], prompts: int, graded: bool) -> Row:
    """Two adapters on the same prompts; graded: by t, as for graded scores (0/1 answers: Tango and
    McNemar)."""
    world = World(_rng(7, *rates, prompts, graded), studies, prompts, 1)
    held = [world.answers(world.adapters(rate, 0.0, 1)) for rate in rates]
    truth, name = rates[0] - rates[1], f"one seed, {rates[0]:.0%} against {rates[1]:.0%}"
    if graded:
        held = [values * world.rng.choice(GRADES[1:], values.shape) for values in held]
        return _found(f"{name}, graded", *differences(world.plan, held), truth * 0.625, 1, prompts)
    pairs = [st.crossed_difference(one, two) for one, two in zip(*(v[:1000] for v in held), strict=True)]
    ends = np.array([one.estimate.interval for one in pairs])
    rejected = np.array([one.p < 0.05 for one in pairs])
    return _test_row(name, ends[:, 0], ends[:, 1], rejected, truth, 1, prompts)


def _found(
    name: str, value: Floats, error: Floats, freedom: Floats, truth: float, seeds: int, prompts: int
) -> Row:
    half = stdtrit(freedom, 0.975) * error
    p = 2 * stdtr(freedom, -np.abs(value) / error)
    return _test_row(name, value - half, value + half, p < 0.05, truth, seeds, prompts)


def _test_row(
    name: str, low: Floats, high: Floats, rejected: NDArray[np.bool_], truth: float, seeds: int, prompts: int
) -> Row:
    found = _row(name, low, high, truth, seeds=seeds, prompts=prompts)
    return {**found, "difference": truth, "rejected": float(rejected.mean())}


def _rng(*place: float) -> np.random.Generator:
    return np.random.default_rng([int(1000 * abs(part)) for part in place])


def _row(kind: str, low: Floats, high: Floats, truth: float, **fields: Any) -> Row:
    held = (low <= truth + 1e-12) & (truth <= high + 1e-12)
    half = float(np.median(high - low) / 2)
    return {"kind": kind, **fields, "studies": len(low), "coverage": float(held.mean()), "half_width": half}
