"""Exact bounds for the number of successes among finitely many answers, from a sample of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln

if TYPE_CHECKING:
    from collections.abc import Sequence

    from puretune.statistics._estimate import FloatArray


def most_successes(found: Sequence[tuple[int, int, int]], tail: float) -> int:
    """The largest total of successes over one or two strata that their samples do not reject at ``tail``.

    ``found`` has (successes, sampled, size) per stratum, sampled without replacement. A total is rejected
    when every split of it into strata is, by Fisher's combination of the strata's exact p values; for one
    stratum this is the exact hypergeometric bound.

    Source: Ottoboni, Stark, Lindeman & McBurnett (2018), "Risk-limiting audits by stratified
    union-intersection tests of elections (SUITE)", E-Vote-ID 2018; one stratum: Wright (1991), "Exact
    Confidence Bounds when Sampling from Small Finite Universes", Springer.
    """
    tests = [few_or_fewer(*stratum) for stratum in found]
    if len(tests) == 1:
        return int(np.flatnonzero(tests[0] > tail)[-1])
    first, second = tests
    with np.errstate(divide="ignore", over="ignore"):
        needed = _fisher_product(tail) / first
    # second falls with the number of successes: how many counts have a p value above what is needed?
    accepted = len(second) - np.searchsorted(second[::-1], needed, side="right")
    return int((np.arange(len(first)) + accepted - 1)[accepted > 0].max())


def few_or_fewer(successes: int, sampled: int, size: int) -> FloatArray:
    """P(at most ``successes`` in the sample) for every number 0..size of successes in the stratum.

    Raising the number by one lowers this chance by the chance that the added success is in the sample and
    exactly ``successes`` others are; summed from the far end it keeps its relative precision.
    """
    if successes >= sampled:
        return np.ones(size + 1)
    m = np.arange(size)

    def choose(n: ArrayLike, k: ArrayLike) -> FloatArray:
        """Log of the number of ways; minus infinity if there is none."""
        n, k = np.asarray(n), np.asarray(k)
        possible = (k >= 0) & (k <= n)
        k = np.where(possible, k, 0)
        return np.where(possible, gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1), -np.inf)

    ways = choose(m, successes) + choose(size - 1 - m, sampled - 1 - successes)
    drop = np.exp(ways - float(choose(size - 1, sampled - 1))) * (sampled / size)
    return np.append(np.minimum(np.cumsum(drop[::-1])[::-1], 1.0), 0.0)


def _fisher_product(tail: float) -> float:
    """The product q of two uniform p values with P(product <= q) = ``tail``, that is q (1 - log q) = tail."""
    low, high = 0.0, tail
    for _ in range(80):
        q = (low + high) / 2
        low, high = (q, high) if q > 0 and q * (1 - math.log(q)) <= tail else (low, q)
    return low
