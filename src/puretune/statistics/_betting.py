"""Betting: an interval for a mean of bounded values that holds at every sample size at once.

For each candidate mean m somebody bets against m, starting with one unit of capital. If m is the truth, the
capital grows past 1 / alpha with chance at most alpha, ever (Ville's inequality); so every m against which it
did is out. Nothing about the distribution is assumed but its range, and peeking costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from puretune.errors import InputError
from puretune.statistics._estimate import Estimate, checked_level, numbers
from puretune.statistics._intervals import mean

if TYPE_CHECKING:
    from puretune.statistics._estimate import FloatArray

CAP = 0.75
"""No bet risks more than this share of the capital (Waudby-Smith & Ramdas recommend 1/2 or 3/4)."""


@dataclass(frozen=True, eq=False)
class Bets:
    """A sequence of observations to bet on; arrays of one entry per observation.

    Given the past, ``outcome`` has the mean ``m - settled`` and lies in [least, most]; ``settled``,
    ``least``, ``most`` and ``stake`` are known before ``outcome`` is.
    """

    outcome: FloatArray
    settled: FloatArray
    """The part of the mean that earlier observations have fixed (0 when sampling with replacement)."""
    least: FloatArray
    most: FloatArray
    stake: FloatArray
    """Capital bet per unit of outcome, before it is capped."""

    def wealth_against_low(self, m: float) -> FloatArray:
        """Log capital, after each observation, of betting that the mean is above ``m``; falls in ``m``."""
        centre = m - self.settled
        risk = np.maximum(centre - self.least, 1e-12)
        stake = np.minimum(self.stake, CAP / risk)
        return np.asarray(np.cumsum(np.log1p(np.maximum(stake * (self.outcome - centre), -CAP))))

    def wealth_against_high(self, m: float) -> FloatArray:
        """Log capital, after each observation, of betting that the mean is below ``m``; rises in ``m``."""
        mirror = Bets(-self.outcome, -self.settled, -self.most, -self.least, self.stake)
        return mirror.wealth_against_low(-m)

    def ends(self, confidence: float, least: float, most: float) -> tuple[float, float]:
        """The means in [least, most], which holds the truth, that no bettor has beaten at any time."""
        barrier = math.log(2 / (1 - confidence))
        low = _edge(lambda m: bool(self.wealth_against_low(m).max() >= barrier), least, most)
        high = _edge(lambda m: bool(self.wealth_against_high(m).max() >= barrier), most, least)
        # Both bettors can win against everything only when the truth was missed, or by rounding.
        return (low, high) if low <= high else (high, low)


def betting_interval(
    values: ArrayLike,
    population: int | None = None,
    *,
    horizon: int | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """The mean of values in [0, 1], valid at any sample size, however one decides to stop.

    ``values`` are in the order in which they were drawn. With ``population`` N they are a simple random
    sample WITHOUT replacement from N answers, and the interval is for the mean of "these answers"; otherwise
    they are independent draws and it is for "new prompts". ``horizon`` is the sample size for which the bets
    are sized; it must not depend on the values, so give it where the sample size is decided on the way (the
    default is the number of values). Never for values sorted in any way. InputError for values
    outside [0, 1], or more than N of them.

    Source: Waudby-Smith & Ramdas (2024), "Estimating means of bounded random variables by betting", JRSS B
    86:1-27: the hedged capital of section 4.4 and sampling without replacement of section 5.
    """
    array = numbers(values, "values")
    checked_level(confidence, "confidence")
    if array.min() < 0 or array.max() > 1:
        raise InputError("values lie outside [0, 1]; scale scores to [0, 1].")
    if population is not None and population < len(array):
        raise InputError(f"{len(array)} values from a population of {population}: more than exist.")
    bets = bets_on_sample(array, population, horizon or len(array), confidence)
    least, most = 0.0, 1.0
    if population is not None:
        least = float(array.sum()) / population
        most = least + (population - len(array)) / population
    low, high = bets.ends(confidence, least, most)
    value = min(max(mean(array), low), high)
    if population is None:
        return Estimate(value, low, high, "new prompts from the same source", "betting", confidence)
    return Estimate(value, low, high, "these answers", "betting without replacement", confidence)


def bets_on_sample(values: FloatArray, population: int | None, horizon: int, confidence: float) -> Bets:
    """Bets on a simple random sample: stakes by the predictable plug-in, for ``horizon`` observations."""
    steps = np.arange(len(values))
    seen = np.cumsum(values) - values
    # Predictions for step t from steps before t: half an observation at 1/2, a variance of 1/4 to start with.
    centre = (seen + 0.5 * 0.5) / (steps + 0.5)
    squares = np.cumsum((values - centre) ** 2)
    variance = (squares - (values - centre) ** 2 + 0.25) / (steps + 1)
    left = np.ones(len(values)) if population is None else 1 - steps / population
    settled = np.zeros(len(values)) if population is None else seen / population
    return Bets(
        outcome=values * left,
        settled=settled,
        least=np.zeros(len(values)),
        most=left,
        stake=stakes(variance * left**2, variance, horizon, population, confidence),
    )


def stakes(
    variances: FloatArray, first: FloatArray, horizon: int, population: int | None, confidence: float
) -> FloatArray:
    """Stakes that are best at ``horizon`` for gaps of the size that is only just detected there.

    With a gap g the log capital grows by stake * g - stake^2 * variance / 2 a step: best is g / variance, and
    the gap whose capital reaches the barrier at the horizon is sqrt(2 barrier / sum of 1 / variance).
    ``variances`` predict the variance of each observation and ``first`` what it would be before anything was
    taken out of the population; the sum over the horizon follows from their ratio.
    """
    barrier = math.log(2 / (1 - confidence))
    if population is None:
        precision = float(horizon)
    else:
        # Past the half, what is left is so certain that sizing bets for it would leave the start without any.
        left = 1 - np.arange(min(horizon, (population + 1) // 2)) / population
        precision = float((1 / left**2).sum())
    return np.asarray(np.sqrt(2 * barrier * first / precision) / variances)


def _edge(beaten: Callable[[float], bool], outside: float, inside: float) -> float:
    """The last candidate found beaten on the way from ``outside`` to ``inside``; ``outside`` if none is."""
    if not beaten(outside):
        return outside
    for _ in range(24):
        middle = (outside + inside) / 2
        if beaten(middle):
            outside = middle
        else:
            inside = middle
    return outside
