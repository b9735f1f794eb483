"""Intervals for one share (``successes`` of ``n``) and for the mean of a few values.

What an interval is *for* is the caller's to say: over the answers of one adapter, ``wilson`` and
``clopper_pearson`` are about new prompts from the same source; over one mean per training seed,
``t_interval`` is about new training runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import NormalDist
from typing import Literal, NamedTuple

from puretune.errors import InputError

Categories = Literal["fixed", "sampled"]
"""``fixed``: these categories, which are strata; ``sampled``: new categories, of which these are a sample."""


class Interval(NamedTuple):
    """A two-sided interval, both ends included, in the unit of what was measured."""

    low: float
    high: float


def wilson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """The score interval for a share: the shares p that a two-sided z test on ``successes`` does not reject.

    Coverage is ``confidence`` on average over p, and below it for some p near 0 and 1. InputError if ``n``
    is 0 or ``successes`` is not in 0..n.

    Source: Wilson (1927), J. Am. Stat. Assoc. 22:209-212; recommended by Brown, Cai & DasGupta (2001),
    Statistical Science 16:101-133.
    """
    successes, n = _counts(successes, n)
    z = NormalDist().inv_cdf(0.5 + _checked(confidence) / 2)
    # One end serves for both: the interval of the failures is the mirror image.
    return Interval(_wilson_low(successes, n, z), 1.0 - _wilson_low(n - successes, n, z))


def clopper_pearson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """The exact interval for a share: both one-sided binomial tests at (1 - ``confidence``) / 2 accept it.

    Coverage is at least ``confidence`` for every p and n. InputError as for :func:`wilson`.

    Source: Clopper & Pearson (1934), Biometrika 26:404-413, by quantiles of the beta distribution.
    """
    from scipy.special import betaincinv

    successes, n = _counts(successes, n)
    tail = (1 - _checked(confidence)) / 2

    def low(k: int) -> float:
        return 0.0 if k == 0 else float(betaincinv(k, n - k + 1, tail))

    return Interval(low(successes), 1.0 - low(n - successes))


def t_interval(values: Iterable[float], confidence: float = 0.95, *, clip: bool = False) -> Interval:
    """Student's interval for the mean of the population that ``values`` are independent draws from.

    Exact for normal values, approximate otherwise. Equal values give an interval of no width: the sample then
    says nothing about the spread, which is not certainty. ``clip`` cuts the interval to [0, 1], for shares.
    InputError below two values, or where one is not finite.

    Source: Student (1908), Biometrika 6:1-25; quantile by ``scipy.special.stdtrit``.
    """
    # scipy.special alone: scipy.stats would take most of the second in which a finished study re-runs.
    from scipy.special import stdtrit

    sample = _finite(values)
    if len(sample) < 2:
        raise InputError(f"a t interval needs at least two values, not {len(sample)}. Use more seeds.")
    centre = mean(sample)
    variance = math.fsum((value - centre) ** 2 for value in sample) / (len(sample) - 1)
    quantile = float(stdtrit(len(sample) - 1, 0.5 + _checked(confidence) / 2))
    half = quantile * math.sqrt(variance / len(sample))
    low, high = centre - half, centre + half
    return Interval(max(low, 0.0), min(high, 1.0)) if clip else Interval(low, high)


def mean(values: Iterable[float]) -> float:
    """The arithmetic mean, summed without rounding error (``math.fsum``).

    InputError if there is no value, or one is not finite.
    """
    sample = _finite(values)
    if not sample:
        raise InputError("the mean of no values is not defined. Give at least one value.")
    centre = math.fsum(sample) / len(sample)
    # Dividing may round past the extremes by one unit in the last place.
    return min(max(centre, min(sample)), max(sample))


def _wilson_low(k: int, n: int, z: float) -> float:
    # The smaller root of (n + z^2) p^2 - (2k + z^2) p + k^2 / n, from the product of the roots: the textbook
    # difference loses its digits for small k; this is exactly 0 for k = 0.
    return (k * k / n) / (k + z * z / 2 + z * math.sqrt(k * (n - k) / n + z * z / 4))


def _counts(successes: int, n: int) -> tuple[int, int]:
    if n < 1:
        raise InputError(f"an interval for a share needs at least one answer; n is {n}.")
    if not 0 <= successes <= n or successes != int(successes) or n != int(n):
        raise InputError(f"{successes!r} successes of {n!r}: use whole numbers with 0 <= successes <= n.")
    return int(successes), int(n)


def _checked(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise InputError(f"confidence is {confidence!r}; use a number between 0 and 1, such as 0.95.")
    return confidence


def _finite(values: Iterable[float]) -> list[float]:
    sample = [float(value) for value in values]
    for value in sample:
        if not math.isfinite(value):
            raise InputError(f"a value is {value}: a mean needs finite numbers.")
    return sample
