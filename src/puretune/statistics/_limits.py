"""Whether a value keeps to a limit: pass, fail, or not known yet, for several requirements at once.

A requirement passes where the upper end of its interval is at most the limit, and fails where the lower end
is above it. Ends are one-sided, at the level that Holm's procedure gives each requirement.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import bdtr

from puretune.errors import InputError
from puretune.statistics._estimate import checked_level
from puretune.statistics._intervals import Interval
from puretune.statistics._planning import MOST_PROMPTS

Decided = Literal["pass", "fail", "inconclusive"]
IntervalAt = Callable[[float], Interval]
"""Confidence -> a two-sided interval, wider for more confidence."""


@dataclass(frozen=True)
class LimitDecision:
    """What is known of one value and its limit."""

    decided: Decided
    low: float
    """One-sided lower end, with error probability ``low_alpha``."""
    high: float
    """One-sided upper end, with error probability ``high_alpha``."""
    low_alpha: float
    high_alpha: float


def limit_decisions(
    values: Sequence[tuple[IntervalAt, float]], *, alpha: float = 0.05
) -> list[LimitDecision]:
    """For each (interval, limit) whether the value is at most the limit.

    The chance that any requirement passes although its value is above its limit is at most ``alpha``, however
    the values depend on each other; so is the chance of any wrong failure. Non-inferiority is the limit
    ``margin`` on a difference.

    Source: Holm (1979), Scandinavian J. of Statistics 6:65-70, on one-sided tests by the intervals' ends;
    non-inferiority: Piaggio et al. (2012), JAMA 308:2594-2604.
    """
    checked_level(alpha, "alpha")
    highs = _stepped([(_upper(at), limit) for at, limit in values], alpha)
    # a failure needs a lower end above the limit, not at it
    lows = _stepped([(_minus_lower(at), float(np.nextafter(-limit, -1e9))) for at, limit in values], alpha)
    return [_decision(high, low) for high, low in zip(highs, lows, strict=True)]


def _upper(at: IntervalAt) -> Callable[[float], float]:
    return lambda a: at(1 - 2 * a).high


def _minus_lower(at: IntervalAt) -> Callable[[float], float]:
    return lambda a: -at(1 - 2 * a).low


_End = tuple[bool, float, float]
"""Whether the limit is kept to, the end, and its error probability."""


def _decision(high: _End, low: _End) -> LimitDecision:
    decided: Decided = "pass" if high[0] else "fail" if low[0] else "inconclusive"
    return LimitDecision(decided, -low[1], high[1], low[2], high[2])


def _stepped(values: Sequence[tuple[Callable[[float], float], float]], alpha: float) -> list[_End]:
    """Holm's procedure: the most certain first, at alpha / m; the next at alpha / (m - 1); no further after
    one that is not certain."""
    ranked = sorted(range(len(values)), key=lambda place: _p(*values[place]))
    found: dict[int, _End] = {}
    level, holds = alpha, True
    for done, place in enumerate(ranked):
        end, limit = values[place]
        level = alpha / (len(values) - done) if holds else level
        at = end(level)
        holds = holds and at <= limit
        found[place] = (holds, at, level)
    return [found[place] for place in range(len(values))]


def _p(end: Callable[[float], float], limit: float) -> float:
    """The smallest error probability at which the end is within the limit; 1: none below one half is."""
    low, high = 1e-12, 0.5 - 1e-9
    if end(high) > limit:
        return 1.0
    for _ in range(40):
        middle = float(np.sqrt(low * high))
        low, high = (low, middle) if end(middle) <= limit else (middle, high)
    return high


def prompts_to_decide(rate: float, limit: float, *, alpha: float = 0.05, power: float = 0.8) -> int | None:
    """Independent prompts whose exact one-sided bound leaves out the limit with this power, if the true rate
    is ``rate``; None: more than a million. InputError outside [0, 1].

    Source: the exact power of the binomial test, Chernick & Liu (2002), The American Statistician 56:149-155.
    """
    if not (0 <= rate <= 1 and 0 <= limit <= 1):
        raise InputError(f"rate {rate!r} and limit {limit!r}: use numbers in [0, 1].")
    if rate > limit:
        rate, limit = 1 - rate, 1 - limit
    if rate == limit or limit >= 1:
        return None if rate == limit else 1
    high = 1
    while not _decides(high, rate, limit, alpha, power):
        high *= 2
        if high > MOST_PROMPTS:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _decides(middle, rate, limit, alpha, power) else (middle, high)
    return high


def _decides(n: int, rate: float, limit: float, alpha: float, power: float) -> bool:
    """Whether ``n`` prompts find a rate below the limit with that power."""
    low, high = -1, n
    while high - low > 1:  # the largest count that the limit makes unlikely
        middle = (low + high) // 2
        low, high = (middle, high) if bdtr(middle, n, limit) <= alpha else (low, middle)
    return low >= 0 and bool(bdtr(low, n, rate) >= power)
