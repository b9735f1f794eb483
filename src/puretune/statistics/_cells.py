"""One cell's rate and one comparison's difference, over training runs and prompts, with all that is said of
them.

These are the defaults: the study's cells, its planned comparison, ``puretune compare``, ``score`` and
``judge`` come through here.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr, stdtrit

from puretune.errors import InputError
from puretune.statistics._crossed import (
    Components,
    SeedSpread,
    by_category,
    components,
    interval_of_mean,
    strata_of,
    variance_of_mean,
)
from puretune.statistics._estimate import Estimate, checked_level, numbers, pairs
from puretune.statistics._intervals import Categories, Interval
from puretune.statistics._paired import mcnemar, paired_difference

if TYPE_CHECKING:
    from puretune.statistics._estimate import FloatArray, IntArray

Conclusion = Literal["lower", "higher", "equivalent", "inconclusive"]
PSEUDO = 1.0
"""Prompts on which two conditions are assumed to differ in addition to those that do: no difference is
certain."""


@dataclass(frozen=True, eq=False)
class Design:
    """What the prompts have in common: their categories, and whether these are the population or a sample."""

    strata: tuple[IntArray, ...]
    """Places of the prompts of each category."""
    categories: int
    """How many categories; 1 where none are given."""
    sampled: bool = False

    def values(self, array: FloatArray) -> FloatArray:
        """What is averaged: a number a prompt or, for new categories, a number a category."""
        return by_category(array, self.strata) if self.sampled else array

    @property
    def inner(self) -> tuple[IntArray, ...]:
        """The strata within which what is averaged was drawn."""
        return (np.arange(len(self.strata)),) if self.sampled else self.strata

    def moments(self, array: FloatArray) -> Components:
        """Moments of [..., seeds, prompts]."""
        return components(self.values(array), self.inner)

    @property
    def words(self) -> str:
        """What prompts the interval is about."""
        if self.sampled:
            return f"new categories (these {self.categories} are all it rests on)"
        if self.categories > 1:
            return f"new prompts of these {self.categories} categories"
        return "new prompts from the same source"


def design(categories: Sequence[Hashable] | int, population: Categories = "fixed") -> Design:
    """The design for one category a prompt (None: no category), or for that many prompts without categories.

    InputError for new categories if there are fewer than two.
    """
    labels: Sequence[Hashable] = [None] * categories if isinstance(categories, int) else categories
    kinds = len(set(labels))
    if population == "fixed":
        strata = strata_of(labels)
        return Design(tuple(strata), len(strata) if kinds > 1 else 1)
    if kinds < 2:
        raise InputError(
            "an interval for new categories needs prompts of at least two categories. Leave the option out."
        )
    places: dict[Hashable, list[int]] = {}
    for place, label in enumerate(labels):
        places.setdefault(label, []).append(place)
    return Design(tuple(np.asarray(held) for held in places.values()), kinds, True)


@dataclass(frozen=True)
class Difference:
    """First minus second, its interval, and a test of no difference."""

    estimate: Estimate
    inner: Interval
    """The 90 % interval: inside a margin exactly where two one-sided tests at 5 % find equivalence."""
    p: float
    """Two-sided p value of no difference."""
    standard_error: float
    freedom: float
    seed_variance: float = 0.0
    """Between seeds, of the difference of one pair of them: estimated, or assumed."""

    def conclusion(self, margin: float) -> Conclusion:
        """What this says of the first against the second; differences up to ``margin`` are of no interest."""
        return conclusion(self.estimate.interval, self.inner, margin, self.p)


def conclusion(interval: Interval, inner: Interval, margin: float, p: float = 0.0) -> Conclusion:
    """``lower`` or ``higher`` where the 95 % interval leaves out 0 and ``p`` is at most 0.05 (an exact test
    may say less than a score interval), ``equivalent`` where the 90 % interval lies within the margin (then
    even where the other leaves out 0), else ``inconclusive``. InputError for a margin not above 0.

    Source: two one-sided tests, Schuirmann (1987), J. Pharmacokinetics and Biopharmaceutics 15:657-680.
    """
    if not 0 < margin < 1:
        raise InputError(f"margin is {margin!r}; use a number between 0 and 1, such as 0.05 for 5 points.")
    if -margin < inner.low and inner.high < margin:
        return "equivalent"
    if p > 0.05 or interval.low <= 0 <= interval.high:
        return "inconclusive"
    return "lower" if interval.high < 0 else "higher"


def crossed_mean(
    values: ArrayLike,
    plan: Design | None = None,
    *,
    spread: SeedSpread | None = None,
    seed_sd: float | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """The mean of ``values`` [seeds, prompts] in [0, 1], one value a prompt: for this adapter where there is
    one seed, for new training runs if there are several, and for new prompts in both cases.

    ``spread`` is what the study's other conditions say about seeds; ``seed_sd`` an assumed standard deviation
    between training runs, for one seed: the interval is then about new training runs under that assumption.
    Source: see ``variance_of_mean`` and ``interval_of_mean``. InputError for values outside [0, 1].
    """
    array = numbers(values, "values", 2)
    checked_level(confidence, "confidence")
    if array.min() < 0 or array.max() > 1:
        raise InputError("values lie outside [0, 1]; scale scores to [0, 1].")
    plan = plan or design(array.shape[1])
    moments = plan.moments(array)
    variance, freedom = variance_of_mean(moments, moments.scale, spread)
    assumed = _assumed(seed_sd, moments.seeds)
    alone = moments.seeds == 1 and not plan.sampled
    low, high = interval_of_mean(moments, variance, freedom, confidence, one_draw_each=alone)
    value, reach = float(array.mean()), _quantile(confidence) * math.sqrt(assumed)
    ends = widened(value, Interval(float(low), float(high)), reach, reach)
    estimand = _speaks_of(plan, moments.seeds, bool(assumed))
    exact = alone and not assumed and _binary(array)
    method = _method("Clopper-Pearson", moments.seeds, exact, spread, seed_sd)
    return Estimate(value, ends.low, ends.high, estimand, method, confidence)


def widened(value: float, interval: Interval, below: float, above: float) -> Interval:
    """``interval`` around ``value`` with further, independent reaches below and above, within [0, 1].

    Source: Zou & Donner (2008), Statistics in Medicine 27:1693-1702 (method of variance estimates recovery).
    """
    low = value - math.hypot(max(value - interval.low, 0.0), below)
    high = value + math.hypot(max(interval.high - value, 0.0), above)
    return Interval(max(low, 0.0), min(high, 1.0))


def crossed_difference(
    first: ArrayLike,
    second: ArrayLike,
    plan: Design | None = None,
    *,
    spread: SeedSpread | None = None,
    seed_sd: float | None = None,
    tuned: int = 2,
    confidence: float = 0.95,
) -> Difference:
    """The mean of ``first`` minus ``second``, both [seeds, prompts] in [0, 1], row with row of one seed.

    A side that was not tuned has the same row for every seed, and ``tuned`` says how many sides were. One
    seed of 0/1 answers: McNemar's exact test and Tango's interval, for these adapters; otherwise t with the
    variance of ``variance_of_mean``, with ``PSEUDO`` prompts on which the two differ added. InputError as for
    :func:`crossed_mean`.
    """
    one, two = pairs(first, second, 2)
    if min(one.min(), two.min()) < 0 or max(one.max(), two.max()) > 1:
        raise InputError("first or second lies outside [0, 1]; scale scores to [0, 1].")
    plan = plan or design(one.shape[1])
    moments = plan.moments(one - two)
    scale = _scale(plan, one, two, tuned)
    assumed = tuned * _assumed(seed_sd, moments.seeds)
    variance, freedom = variance_of_difference(moments, scale, spread)
    error = float(np.sqrt(variance + assumed))
    estimand = _speaks_of(plan, moments.seeds, bool(assumed), "these two models")
    if moments.seeds == 1 and not plan.sampled and not assumed and _binary(one, two):
        return _exact(one[0], two[0], error, float(freedom), estimand, confidence)
    method = _method("t", moments.seeds, False, spread, seed_sd)
    made = _by_t(float(moments.mean), error, float(freedom), confidence)
    value = float((one - two).mean())
    outer = Interval(max(made[0].low, -1.0), min(made[0].high, 1.0))
    estimate = Estimate(value, outer.low, outer.high, estimand, method, confidence)
    known = float(moments.prompt_variance) + PSEUDO / moments.prompts**2
    varies = assumed or max((float(variance) - known) * moments.seeds, 0.0)
    return Difference(estimate, made[1], made[2], error, float(freedom), varies)


def variance_of_difference(
    moments: Components, scale: FloatArray, spread: SeedSpread | None
) -> tuple[FloatArray, FloatArray]:
    """As ``variance_of_mean``, with ``PSEUDO`` differing prompts: near 0 % hardly any prompt differs, which
    says less than it seems. Source: the idea of Agresti & Min (2005), Statistics in Medicine 24:729-740."""
    return variance_of_mean(moments, scale, spread, PSEUDO / moments.prompts**2)


def _scale(plan: Design, one: FloatArray, two: FloatArray, tuned: int) -> FloatArray:
    """m (1 - m), summed over the sides that were tuned; an untuned second side has no seeds to vary."""
    first = plan.moments(one).scale
    return np.asarray(first + (plan.moments(two).scale if tuned > 1 else 0.0))


def _exact(
    one: FloatArray, two: FloatArray, error: float, freedom: float, estimand: str, confidence: float
) -> Difference:
    outer = paired_difference(one, two, confidence=confidence)
    inner = paired_difference(one, two, confidence=0.9).interval
    estimate = replace(outer, estimand=estimand)
    return Difference(estimate, inner, mcnemar(one, two).p, error, freedom)


def _by_t(value: float, error: float, freedom: float, confidence: float) -> tuple[Interval, Interval, float]:
    """The interval, the 90 % interval and the two-sided p value of 0."""

    def within(level: float) -> Interval:
        half = float(stdtrit(freedom, 0.5 + level / 2)) * error
        return Interval(value - half, value + half)

    p = min(1.0, 2 * float(stdtr(freedom, -abs(value) / error)))
    return within(confidence), within(0.9), p


def _quantile(confidence: float) -> float:
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def _assumed(seed_sd: float | None, seeds: int) -> float:
    """The assumed between-seed variance; none if several seeds were trained, which say more."""
    if seed_sd is None or seeds > 1:
        return 0.0
    if not 0 <= seed_sd < 1:
        raise InputError(f"seed_sd is {seed_sd!r}; use a number from 0 to 1, such as 0.05 for 5 points.")
    return seed_sd**2


def _speaks_of(plan: Design, seeds: int, assumed: bool, one: str = "this adapter") -> str:
    who = "new training runs" if seeds > 1 else one
    if assumed:
        who = "new training runs (their spread assumed)"
    return f"{who} and {plan.words}"


def _method(kind: str, seeds: int, exact: bool, spread: SeedSpread | None, seed_sd: float | None) -> str:
    if exact:
        return "Clopper-Pearson, exact"
    if seeds == 1:
        extra = f", assuming {100 * seed_sd:g} points between training runs" if seed_sd else ""
        return f"{kind} on prompts{extra}"
    shared = spread is not None and spread.conditions > 1
    known = f"seed variance from {spread.conditions} conditions" if spread and shared else f"{seeds} seeds"
    return f"{kind} on prompts and seeds ({known})"


def _binary(*arrays: FloatArray) -> bool:
    return all(bool(((array == 0) | (array == 1)).all()) for array in arrays)
