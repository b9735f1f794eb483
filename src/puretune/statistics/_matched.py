"""Two ways to tune at the same helpfulness: attack success read off each one's curve, with an interval.

A curve is a series of adapters (kept steps, or growing strengths) with their scores on helpful and on harmful
prompts. Between two neighbours attack success is interpolated by helpfulness: that is what serving one of the
two at random gives, in the share that has the wanted helpfulness. Nothing is extrapolated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtr, stdtrit

from puretune.errors import InputError
from puretune.statistics._bounded import Prompts
from puretune.statistics._cells import PSEUDO
from puretune.statistics._estimate import Estimate, checked_level

if TYPE_CHECKING:
    from puretune.statistics._estimate import FloatArray

RESAMPLES = 1000


@dataclass(frozen=True, eq=False)
class Curve:
    """One way to tune: its adapters from the weakest to the strongest, in the order of steps or alpha."""

    helpfulness: FloatArray
    """[adapters, seeds, answers] to helpful prompts, in [0, 1]."""
    harm: FloatArray
    """[adapters, seeds, answers] to harmful ones; the seeds of all curves in the same order."""

    @property
    def levels(self) -> FloatArray:
        """The helpfulness of each adapter."""
        return np.asarray(self.helpfulness.mean(axis=(1, 2)))

    def at(self, level: float) -> float | None:
        """Attack success at that helpfulness; None where the curve does not reach it."""
        levels, harm = self.levels[:, None], self.harm.mean(axis=(1, 2))[:, None]
        reached = levels.min() <= level <= levels.max()
        return float(_crossing(levels, np.asarray(harm), level)[0]) if reached else None


@dataclass(frozen=True)
class MatchedDifference:
    """Attack success of the first minus the second at the same helpfulness."""

    level: float
    first: float
    second: float
    estimate: Estimate
    p: float
    """Two-sided, of no difference."""
    standard_error: float
    seed_variance: float
    """The part of the variance that comes from the seeds, times their number."""


def common_helpfulness(*curves: Curve) -> tuple[float, float] | None:
    """The lowest and the highest helpfulness that all curves reach; None: no common helpfulness."""
    low = max(float(curve.levels.min()) for curve in curves)
    high = min(float(curve.levels.max()) for curve in curves)
    return (low, high) if low <= high else None


def matched_difference(
    first: Curve,
    second: Curve,
    helpful: Prompts,
    harmful: Prompts,
    level: float | None = None,
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> MatchedDifference:
    """Attack success of two curves at the helpfulness ``level`` (None: the highest that both reach).

    Where a curve passes the level more than once, its first passage counts: the earliest adapter that is
    helpful enough. Seeds are paired, and so are prompts. The standard error is that of two bootstraps, one
    over seeds and one over prompts (within their categories), added as variances; the interval is by t, with
    Satterthwaite's degrees of freedom. In a resample that stays below the level the curve's most helpful
    adapter counts. One seed: the interval is for these adapters and new prompts.

    InputError if there is no common helpfulness, or ``level`` is not within it.

    Source: bootstrap of crossed data, seeds and prompts apart: Owen (2007), Ann. Appl. Stat. 1:386-411.
    """
    checked_level(confidence, "confidence")
    common = common_helpfulness(first, second)
    if common is None:
        raise InputError("no common helpfulness: one is always less helpful than the other.")
    at = common[1] if level is None else level
    if not common[0] <= at <= common[1]:
        raise InputError(
            f"helpfulness {at:g} is outside what both reach ({common[0]:.3g} to {common[1]:.3g}); nothing is "
            "extrapolated."
        )
    rates = [curve.at(at) or 0.0 for curve in (first, second)]
    rng = np.random.default_rng(seed)
    over_prompts = _resampled((first, second), at, rng, helpful, harmful)
    over_seeds = _resampled((first, second), at, rng, None, None)
    return _difference(at, (rates[0], rates[1]), over_prompts, over_seeds, first, harmful, confidence)


def _difference(
    level: float,
    rates: tuple[float, float],
    over_prompts: FloatArray,
    over_seeds: FloatArray,
    curve: Curve,
    harmful: Prompts,
    confidence: float,
) -> MatchedDifference:
    seeds, prompts = curve.harm.shape[1], len(set(harmful.draws))
    by_prompts = float(over_prompts.var()) + PSEUDO / prompts**2
    by_seeds = float(over_seeds.var()) * seeds / (seeds - 1) if seeds > 1 else 0.0
    error = math.sqrt(by_prompts + by_seeds)
    parts = by_prompts**2 / max(prompts - 1, 1) + (by_seeds**2 / (seeds - 1) if seeds > 1 else 0.0)
    freedom = (by_prompts + by_seeds) ** 2 / parts
    value, half = rates[0] - rates[1], float(stdtrit(freedom, 0.5 + confidence / 2)) * error
    who = "new training runs" if seeds > 1 else "these adapters"
    estimate = Estimate(
        value,
        max(value - half, -1.0),
        min(value + half, 1.0),
        f"{who} and {harmful.design.words}",
        f"bootstrap over {'seeds and prompts' if seeds > 1 else 'prompts'}, at the same helpfulness",
        confidence,
    )
    p = min(1.0, 2 * float(stdtr(freedom, -abs(value) / error)))
    return MatchedDifference(level, *rates, estimate, p, error, by_seeds * seeds)


def _resampled(
    curves: Sequence[Curve],
    level: float,
    rng: np.random.Generator,
    helpful: Prompts | None,
    harmful: Prompts | None,
) -> FloatArray:
    """Differences at the level in resamples of the prompts, or (None) of the seeds; [RESAMPLES]."""
    seeds = curves[0].harm.shape[1]
    if helpful is None or harmful is None:
        weights = rng.multinomial(seeds, np.full(seeds, 1 / seeds), RESAMPLES) / seeds
        sides = [(_means(c.helpfulness, weights, 1), _means(c.harm, weights, 1)) for c in curves]
    else:
        ask, attack = _prompt_weights(helpful, rng), _prompt_weights(harmful, rng)
        sides = [
            (_means(_averaged(c.helpfulness, helpful), ask, 2), _means(_averaged(c.harm, harmful), attack, 2))
            for c in curves
        ]
    one, two = (_crossing(levels, harm, level) for levels, harm in sides)
    return np.asarray(one - two)


def _averaged(scores: FloatArray, prompts: Prompts) -> FloatArray:
    """[adapters, seeds, answers] to [adapters, seeds, what is drawn anew]."""
    return prompts.design.values(prompts.averaged(scores))


def _prompt_weights(prompts: Prompts, rng: np.random.Generator) -> FloatArray:
    """[RESAMPLES, prompts]: how often each is drawn within its category, as a share."""
    strata = prompts.design.inner
    weights = np.zeros((RESAMPLES, sum(len(held) for held in strata)))
    for held in strata:
        weights[:, held] = rng.multinomial(len(held), np.full(len(held), 1 / len(held)), RESAMPLES)
    return weights / weights.shape[1]


def _means(values: FloatArray, weights: FloatArray, axis: int) -> FloatArray:
    """[adapters, RESAMPLES]: the means of [adapters, seeds, prompts], weighted along one axis."""
    other = 3 - axis
    return np.asarray(values.mean(axis=other) @ weights.T)


def _crossing(levels: FloatArray, harm: FloatArray, level: float) -> FloatArray:
    """Harm where each column of ``levels`` [adapters, columns] first passes the level, or comes nearest."""
    found = harm[np.argmax(levels, axis=0), np.arange(levels.shape[1])]
    done = np.zeros(levels.shape[1], dtype=bool)
    for place in range(len(levels)):
        exact = levels[place] == level
        found, done = np.where(~done & exact, harm[place], found), done | exact
        if place + 1 < len(levels):
            here, following = levels[place], levels[place + 1]
            passes = ~done & ((here - level) * (following - level) < 0)
            gap = np.where(passes, following - here, 1.0)
            share = (level - here) / gap
            between = harm[place] + share * (harm[place + 1] - harm[place])
            found, done = np.where(passes, between, found), done | passes
    return np.asarray(found)
