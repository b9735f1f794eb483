"""Two conditions on the same prompts: the difference, whether there is one, and whether it is negligible.

The unit is the prompt, answered under both conditions by one adapter each. For several seeds use
``crossed_difference``, or put seed means into ``equivalence_of_means``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import bdtr, ndtr, ndtri, stdtr, stdtrit

from puretune.errors import InputError
from puretune.statistics._estimate import Estimate, checked_level, cluster_index, pairs
from puretune.statistics._intervals import mean, t_interval

if TYPE_CHECKING:
    from puretune.statistics._estimate import FloatArray

_MOST_FLIPPED = 22


@dataclass(frozen=True)
class McNemar:
    """Prompts on which only one of two conditions succeeds, and how surprising their split is."""

    only_first: int
    only_second: int
    p: float
    """Two-sided exact p value of "both conditions have the same rate"."""


@dataclass(frozen=True)
class Equivalence:
    """Whether a difference is smaller than ``margin`` in either direction."""

    difference: Estimate
    """First minus second, with its 1 - 2 alpha interval: inside the margin exactly where ``equivalent``."""
    margin: float
    p: float
    """The larger p value of the two one-sided tests."""
    equivalent: bool


def mcnemar(first: ArrayLike, second: ArrayLike) -> McNemar:
    """Exact test of equal rates for 0/1 outcomes of ONE pair of adapters on the same independent prompts.

    Never concatenate seeds: answers of one adapter share its training run, and the p value would be far too
    small. InputError for anything but two equally long vectors of 0 and 1.

    Source: McNemar (1947), Psychometrika 12:153-157; exact by the binomial on the discordant pairs.
    """
    one, two = pairs(first, second)
    if not _binary(one, two):
        raise InputError("McNemar's test needs outcomes of 0 and 1.")
    only_first, only_second = int((one > two).sum()), int((two > one).sum())
    discordant = only_first + only_second
    tail = float(bdtr(min(only_first, only_second), discordant, 0.5)) if discordant else 1.0
    return McNemar(only_first, only_second, min(1.0, 2 * tail))


def paired_difference(first: ArrayLike, second: ArrayLike, *, confidence: float = 0.95) -> Estimate:
    """Difference of two rates of 0/1 outcomes on the same independent prompts, by inverting the score test.

    Keeps its coverage near 0 % and with few differing prompts, where the bootstrap does not. Not for
    clusters. InputError for outcomes other than 0 and 1.

    Source: Tango (1998), Statistics in Medicine 17:891-908, section 4.
    """
    one, two = pairs(first, second)
    if not _binary(one, two):
        raise InputError("this interval needs outcomes of 0 and 1; use crossed_difference for other scores.")
    checked_level(confidence, "confidence")
    b, c, n = int((one > two).sum()), int((two > one).sum()), len(one)
    low, high = _tango_ends(b, c, n, 0.5 + confidence / 2)
    return Estimate(
        (b - c) / n, low, high, "new prompts from the same source", "Tango's score interval", confidence
    )


def sign_flips(differences: ArrayLike) -> float:
    """Two-sided exact p value of "each difference might as well have the other sign", by all sign flips.

    One number a seed (or model seed). Needs no normal distribution, and holds however skewed the differences
    are; zeros decide nothing. InputError above 22 differences: there are too many flips to count.

    Source: Fisher (1935), "The Design of Experiments", section 21.
    """
    import numpy as np

    values = [abs(float(value)) for value in np.asarray(differences, dtype=float) if value != 0]
    if len(values) > _MOST_FLIPPED:
        raise InputError(
            f"{len(values)} differences are too many for all sign flips (at most {_MOST_FLIPPED})."
        )
    totals = np.zeros(1)
    for value in values:
        totals = np.concatenate([totals + value, totals - value])
    observed = abs(float(np.sum(np.asarray(differences, dtype=float))))
    return float((np.abs(totals) >= observed - 1e-9).mean())


def equivalence_of_means(
    first: ArrayLike, second: ArrayLike, margin: float, *, alpha: float = 0.05
) -> Equivalence:
    """Two one-sided t tests on paired seed means: is ``first`` minus ``second`` within ``margin``?

    One number a seed (or a model seed, when that is the unit of analysis), paired by seed; is about new
    training runs. InputError below two seeds, or where all differences are equal (then t has no scale).

    Source: Schuirmann (1987), J. Pharmacokinetics and Biopharmaceutics 15:657-680.
    """
    one, two = pairs(first, second)
    difference = one - two
    if len(difference) < 2 or difference.min() == difference.max():
        raise InputError("an equivalence test on seed means needs at least two seeds whose differences vary.")
    value, spread = mean(difference), float(difference.std(ddof=1)) / math.sqrt(len(difference))
    low, high = t_interval(difference, 1 - 2 * _checked_alpha(alpha))
    estimate = Estimate(
        value, low, high, "new training runs", f"t on {len(difference)} paired seed means", 1 - 2 * alpha
    )
    return _two_one_sided(estimate, margin, alpha, _t_tails(value, spread, len(difference) - 1, margin))


def equivalence_on_prompts(
    first: ArrayLike,
    second: ArrayLike,
    margin: float,
    clusters: ArrayLike | None = None,
    *,
    alpha: float = 0.05,
) -> Equivalence:
    """Two one-sided tests on the same prompts of one adapter pair: is the difference within ``margin``?

    0/1 outcomes without clusters: Tango's score test, which also holds where hardly a prompt differs. Other
    scores or clusters: t on cluster totals, which needs some 30 clusters and differences that vary.
    Speaks of new prompts, not of new training runs.

    Source: Tango (1998), Statistics in Medicine 17:891-908; cluster totals as in Cochran (1977), "Sampling
    Techniques", section 9A; two one-sided tests: Schuirmann (1987).
    """
    one, two = pairs(first, second)
    level = 1 - 2 * _checked_alpha(alpha)
    if clusters is None and _binary(one, two):
        b, c, n = int((one > two).sum()), int((two > one).sum()), len(one)
        estimate = paired_difference(one, two, confidence=level)
        tails = _upper_tail(_tango(b, c, n, -margin)), _upper_tail(-_tango(b, c, n, margin))
        return _two_one_sided(estimate, margin, alpha, tails)
    value, spread, groups = _cluster_mean(one - two, clusters)
    half = float(stdtrit(groups - 1, 1 - alpha)) * spread
    method = f"t on {groups} prompts or clusters"
    estimate = Estimate(value, value - half, value + half, "new prompts from the same source", method, level)
    return _two_one_sided(estimate, margin, alpha, _t_tails(value, spread, groups - 1, margin))


def _two_one_sided(
    difference: Estimate, margin: float, alpha: float, tails: tuple[float, float]
) -> Equivalence:
    if not 0 < margin < math.inf:
        raise InputError(f"margin is {margin!r}; use a positive number, such as 0.05 for 5 points.")
    p = max(tails)
    return Equivalence(difference, margin, p, p < alpha)


def _t_tails(value: float, spread: float, freedom: int, margin: float) -> tuple[float, float]:
    below = float(stdtr(freedom, -(value + margin) / spread))
    return below, float(stdtr(freedom, (value - margin) / spread))


def _cluster_mean(difference: FloatArray, clusters: ArrayLike | None) -> tuple[float, float, int]:
    """Mean over prompts, its standard error over clusters, and the number of clusters."""
    index = cluster_index(clusters, len(difference))
    sums, sizes = np.bincount(index, difference), np.bincount(index)
    value, groups = float(sums.sum() / sizes.sum()), len(sums)
    residual = sums - value * sizes
    spread = math.sqrt(groups / (groups - 1) * float((residual**2).sum())) / int(sizes.sum())
    if spread <= 0:
        raise InputError("an equivalence test by t needs differences that vary between clusters.")
    return value, spread, groups


def _tango(b: int, c: int, n: int, delta: float) -> float:
    """The score statistic of "rate of first minus rate of second is ``delta``"."""
    linear = -b - c + (2 * n - b + c) * delta
    # Under the hypothesis the rate of (only second) solves 2n q^2 + linear q - c delta (1 - delta) = 0.
    root = math.sqrt(max(linear * linear + 8 * n * c * delta * (1 - delta), 0.0))
    q = (root - linear) / (4 * n)
    variance = n * (2 * q + delta * (1 - delta))
    gap = b - c - n * delta
    return 0.0 if gap == 0 else gap / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, gap)


def _tango_ends(b: int, c: int, n: int, upper: float) -> tuple[float, float]:
    z, value = float(ndtri(upper)), (b - c) / n

    def end(outside: float, sign: float) -> float:
        inside = value
        for _ in range(60):
            middle = (outside + inside) / 2
            if sign * _tango(b, c, n, middle) > z:
                outside = middle
            else:
                inside = middle
        return outside

    return end(-1.0, 1.0), end(1.0, -1.0)


def _upper_tail(z: float) -> float:
    return float(ndtr(-z))


def _binary(*arrays: FloatArray) -> bool:
    return all(bool(((array == 0) | (array == 1)).all()) for array in arrays)


def _checked_alpha(alpha: float) -> float:
    if not 0 < alpha < 0.5:
        raise InputError(f"alpha is {alpha!r}; use a number between 0 and 0.5, such as 0.05.")
    return alpha
