"""Before and after many comparisons: how many prompts are needed, and p values over a whole matrix."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import bdtr, bdtrc, bdtrik, gammaln, ndtri, stdtrit, xlog1py, xlogy

from puretune.errors import InputError
from puretune.statistics._estimate import checked_level

if TYPE_CHECKING:
    from puretune.statistics._estimate import FloatArray

MOST_PROMPTS = 1_000_000
POWER_REACH = 2.8
"""Standard errors between 0 and a difference that is found with 80 % power at 5 % (two-sided)."""


def holm(p_values: ArrayLike) -> FloatArray:
    """Adjusted p values of the same shape: reject where one is at most alpha, and the chance of any false
    rejection in the whole array is at most alpha, however the tests depend on each other.

    NaN marks what was not tested and stays NaN. InputError for a p value outside [0, 1].

    Source: Holm (1979), Scandinavian J. of Statistics 6:65-70.
    """
    p = np.asarray(p_values, dtype=np.float64)
    tested = ~np.isnan(p)
    if ((p[tested] < 0) | (p[tested] > 1)).any():
        raise InputError("a p value lies outside [0, 1].")
    flat = p[tested]
    rank = np.argsort(flat, kind="stable")
    stepped = np.maximum.accumulate(flat[rank] * np.arange(len(flat), 0, -1))
    flat[rank] = np.minimum(stepped, 1.0)
    adjusted = np.full(p.shape, np.nan)
    adjusted[tested] = flat
    return adjusted


def prompts_needed(first: float, second: float, *, power: float = 0.8, alpha: float = 0.05) -> int:
    """Prompts PER GROUP to tell two rates apart on independent sets of prompts, by Fisher's exact test.

    ``first`` and ``second`` are rates in [0, 1], not equal. The continuity correction makes the count fit
    Fisher's exact test (near 0 % the power comes out some points higher than asked). Assumes independent
    prompts and takes the two adapters as given: more prompts cannot replace more seeds.

    Source: Casagrande, Pike & Smith (1978), Biometrics 34:483-486; Fleiss, Levin & Paik (2003), "Statistical
    Methods for Rates and Proportions", eq. 4.14-4.17.
    """
    gap = _gap(first, second)
    centre = (first + second) / 2
    null = math.sqrt(2 * centre * (1 - centre)) * float(ndtri(1 - checked_level(alpha, "alpha") / 2))
    spread = math.sqrt(first * (1 - first) + second * (1 - second))
    plain = ((null + spread * float(ndtri(checked_level(power, "power")))) / gap) ** 2
    return math.ceil(plain / 4 * (1 + math.sqrt(1 + 4 / (plain * gap))) ** 2)


def prompts_needed_paired(
    first: float,
    second: float,
    *,
    discordant: float | None = None,
    power: float = 0.8,
    alpha: float = 0.05,
) -> int:
    """Prompts to tell two rates apart when both conditions answer the SAME prompts, by exact McNemar.

    ``discordant`` is the share of prompts on which the conditions differ, at least the gap between the rates;
    by default what independent answers would give, which is too many where the same prompts tend to succeed
    under both. The power is exact; the count is the one found by bisection (power rises in n but for ripples
    below a point). InputError for impossible rates, or where more than a million prompts would be needed.

    Source: exact unconditional power of McNemar's test, Duffy (1984), Biometrics 40:1005-1015.
    """
    gap = _gap(first, second)
    checked_level(power, "power")
    checked_level(alpha, "alpha")
    independent = first * (1 - second) + second * (1 - first)
    differing = independent if discordant is None else discordant
    if not gap <= differing <= min(first + second, 2 - first - second) + 1e-12:
        raise InputError(
            f"discordant is {differing!r}; with rates {first} and {second} it lies between the gap and "
            f"{min(first + second, 2 - first - second):.4g}."
        )
    split = (1 + gap / differing) / 2
    high = 8
    while _mcnemar_power(high, differing, split, alpha) < power:
        high *= 2
        if high > MOST_PROMPTS:
            raise InputError(f"rates {first} and {second} need more than {MOST_PROMPTS:,} prompts.")
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (
            (low, middle) if _mcnemar_power(middle, differing, split, alpha) >= power else (middle, high)
        )
    return high


def _mcnemar_power(n: int, differing: float, split: float, alpha: float) -> float:
    """Chance that exact McNemar rejects: over the number of differing prompts, then over how they split."""
    reach = 8 * math.sqrt(n * differing * (1 - differing)) + 8
    d = np.arange(max(1, math.floor(n * differing - reach)), min(n, math.ceil(n * differing + reach)) + 1)
    log_chance = gammaln(n + 1) - gammaln(d + 1) - gammaln(n - d + 1)
    chance = np.exp(log_chance + xlogy(d, differing) + xlog1py(n - d, -differing))
    # The largest count that rejects; bdtrik inverts a smoothed distribution, so step to the exact one.
    k = np.ceil(np.nan_to_num(bdtrik(alpha / 2, d, 0.5), nan=-1.0)) + 1
    for _ in range(3):
        k = np.where((k >= 0) & (bdtr(np.maximum(k, 0), d, 0.5) > alpha / 2), k - 1, k)
    few = np.maximum(k, 0)
    rejects = bdtr(few, d, split) + bdtrc(d - few - 1, d, split)
    return float((chance * np.where(k >= 0, rejects, 0.0)).sum())


def _gap(first: float, second: float) -> float:
    if not (0 <= first <= 1 and 0 <= second <= 1) or first == second:
        raise InputError(f"rates {first!r} and {second!r}: use two different numbers in [0, 1].")
    return abs(first - second)


def seeds_needed(
    difference: float, seed_sd: float, noise_sd: float = 0.0, *, power: float = 0.8, alpha: float = 0.05
) -> int:
    """Training seeds per condition, paired, to tell ``difference`` from 0 by t on the seeds' differences.

    ``seed_sd`` is the standard deviation between training runs of ONE condition (two are compared, so it
    counts twice) and ``noise_sd`` that of one seed's difference by its prompts alone. By the normal form of
    the power of t. InputError for a difference of 0, or where more than 1,000 seeds would be needed: then
    more prompts are.

    Source: Julious (2010), "Sample Sizes for Clinical Trials", section 3.
    """
    if not difference:
        raise InputError("a difference of 0 cannot be told from 0. Give the smallest one that matters.")
    for seeds in range(2, 1001):
        if minimum_detectable(seeds, seed_sd, noise_sd, power=power, alpha=alpha) <= abs(difference):
            return seeds
    raise InputError(f"a difference of {difference:g} needs more than 1,000 seeds. Use more prompts.")


def minimum_detectable(
    seeds: int,
    seed_sd: float,
    noise_sd: float = 0.0,
    *,
    freedom: float | None = None,
    power: float = 0.8,
    alpha: float = 0.05,
) -> float:
    """The smallest difference of two conditions that ``seeds`` paired seeds find with this power.

    ``freedom`` is that of the between-seed variance, where a study of several conditions knows it better than
    the ``seeds`` - 1 of one pair. Standard deviations as for :func:`seeds_needed`; InputError below two
    seeds.
    """
    if seeds < 2 and freedom is None:
        raise InputError(f"{seeds} seed says nothing about new training runs. Use two or more.")
    if min(seed_sd, noise_sd) < 0:
        raise InputError("a standard deviation is below 0.")
    known = freedom or seeds - 1
    tails = stdtrit(known, 1 - checked_level(alpha, "alpha") / 2) + stdtrit(
        known, checked_level(power, "power")
    )
    return float(tails) * math.sqrt((2 * seed_sd**2 + noise_sd**2) / seeds)


def data_needed(
    standard_error: float,
    seed_variance: float,
    seeds: int,
    difference: float,
    *,
    reach: float = POWER_REACH,
    alpha: float = 0.05,
) -> tuple[int | None, float | None]:
    """What would find a ``difference``: so many seeds, so many times the prompts, or both.

    Seeds reduce the part of the variance that comes from them (``seed_variance``: of one seed's difference),
    prompts the rest, for every seed answers the same prompts. Neither, where the data would find it already.
    The figures are for planning: they take the estimated variances for the true ones.
    """
    wanted = (difference / reach) ** 2
    by_seeds = seed_variance / seeds
    by_prompts = max(standard_error**2 - by_seeds, 0.0)
    if by_seeds + by_prompts <= wanted:
        return None, None
    if by_seeds == 0:
        return None, by_prompts / wanted
    count = _enough(seed_variance, by_prompts, seeds, difference, alpha)
    if count is not None:
        return count, None
    if by_seeds <= wanted / 2:
        return None, by_prompts / (wanted - by_seeds)
    both = _enough(seed_variance, wanted / 2, seeds, difference, alpha)
    return both, max(2 * by_prompts / wanted, 1.0) if both is not None else None


def _enough(variance: float, rest: float, seeds: int, difference: float, alpha: float) -> int | None:
    """Seeds that find the difference where ``rest`` of the variance stays; None: more than 1,000."""
    for count in range(max(seeds + 1, 2), 1001):
        least = minimum_detectable(count, math.sqrt(variance / 2), math.sqrt(rest * count), alpha=alpha)
        if least <= difference:
            return count
    return None
