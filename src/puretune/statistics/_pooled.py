"""Cells pooled over training seeds: prompts and seeds are crossed factors, for every seed meets every prompt.

All prompts of one adapter share its training run, and all seeds share a prompt: counting seeds x prompts
answers as independent would promise far too much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from puretune.errors import InputError
from puretune.statistics._estimate import Estimate, checked_level, cluster_index, numbers, pairs
from puretune.statistics._intervals import Interval, clopper_pearson, mean, t_interval
from puretune.statistics._resampling import expanded_percentiles

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from puretune.statistics._estimate import FloatArray

BOOTSTRAP_FROM = 10
"""Number of seeds from which both factors are resampled: with fewer, seeds say too little to be resampled."""

DRAWS = 2000


def pooled(
    values: ArrayLike, clusters: ArrayLike | None = None, *, confidence: float = 0.95, seed: int = 0
) -> Estimate:
    """The mean over seeds and prompts, ``values`` of shape [seeds, prompts], each in [0, 1].

    Below 10 seeds: Student's t on the seed means, for new training runs on these prompts. From 10 seeds up:
    the crossed bootstrap, for new training runs and new prompts (clusters of them, where ``clusters`` gives
    one a prompt). Where every answer is 0 (or every one is 1) neither sees any spread: then the interval is
    the Clopper-Pearson one over clusters, and speaks of new prompts only. InputError below two seeds, or
    where a value lies outside [0, 1].
    """
    array = numbers(values, "values", 2)
    if array.min() < 0 or array.max() > 1:
        raise InputError("values lie outside [0, 1]; scale scores to [0, 1], or use pooled_difference.")
    return _rule(array, clusters, 0.0, confidence, seed)


def pooled_difference(
    first: ArrayLike,
    second: ArrayLike,
    clusters: ArrayLike | None = None,
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """The mean of ``first`` minus ``second``, both [seeds, prompts] in [0, 1], seed paired with seed.

    The same rule as :func:`pooled`; seeds are paired when row i of both comes from one seed (one adapter
    tested twice, or two adapters trained with the same seed). InputError as there.
    """
    one, two = pairs(first, second, 2)
    if min(one.min(), two.min()) < 0 or max(one.max(), two.max()) > 1:
        raise InputError("first or second lies outside [0, 1]; scale scores to [0, 1].")
    return _rule(one - two, clusters, -1.0, confidence, seed)


def crossed_bootstrap(
    values: ArrayLike,
    clusters: ArrayLike | None = None,
    *,
    confidence: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> Estimate:
    """The mean of ``values`` [seeds, prompts], for new training runs and new prompts.

    Seeds and clusters of prompts are resampled independently; every drawn seed meets every drawn prompt. The
    percentiles are expanded for the smaller number of the two (seeds, clusters). Deterministic in ``seed``.
    Too short with few seeds, and without width where all values are equal. InputError below two seeds or
    clusters.

    Source: Owen (2007), "The pigeonhole bootstrap", Ann. Appl. Stat. 1:386-411 (its variance is never much
    too small for crossed data); expanded percentiles: Hesterberg (2015), Am. Statistician 69:371-386.
    """
    import numpy as np

    array = _seeds(numbers(values, "values", 2))
    index = cluster_index(clusters, array.shape[1])
    groups = int(index.max()) + 1
    sums: FloatArray = np.stack([np.bincount(index, row, groups) for row in array])
    sizes = np.bincount(index, minlength=groups).astype(np.float64)
    means = _resampled_means(sums, sizes, draws, seed)
    low, high = expanded_percentiles(means, min(len(array), groups), confidence)
    value = mean(array.ravel())
    return Estimate(
        value,
        min(low, value),
        max(high, value),
        "new training runs and new prompts",
        f"crossed bootstrap of {len(array)} seeds and {groups} prompts or clusters",
        confidence,
    )


def _rule(
    array: FloatArray, clusters: ArrayLike | None, lowest: float, confidence: float, seed: int
) -> Estimate:
    _seeds(array)
    checked_level(confidence, "confidence")
    if array.min() == array.max() and array.min() in (0.0, lowest, 1.0):
        groups = int(cluster_index(clusters, array.shape[1]).max()) + 1
        return no_spread(float(array.min()), groups, lowest, confidence)
    if len(array) >= BOOTSTRAP_FROM:
        return crossed_bootstrap(array, clusters, confidence=confidence, seed=seed)
    means = array.mean(axis=1).tolist()
    low, high = t_interval(means, confidence)
    low, high = max(low, lowest), min(high, 1.0)
    return Estimate(mean(means), low, high, "new training runs", f"t on {len(means)} seed means", confidence)


def no_spread(value: float, groups: int, lowest: float, confidence: float) -> Estimate:
    """The interval where all ``groups`` clusters agree on ``value``, an end of the scale or no difference.

    A cluster that differs is an event with 0 occurrences in ``groups``; its exact upper bound bounds how far
    the mean can lie from ``value`` (clusters of about one size).
    """
    reach = clopper_pearson(0, groups, confidence).high * (1 - lowest if value != 0 else 1)
    ends = Interval(max(value - reach, lowest), min(value + reach, 1.0))
    method = f"Clopper-Pearson on {groups} prompts or clusters, all of which agree"
    return Estimate(value, ends.low, ends.high, "new prompts from the same source", method, confidence)


def _seeds(array: FloatArray) -> FloatArray:
    if len(array) < 2:
        raise InputError(
            "one seed says nothing about new training runs. Use more seeds, or share() for one cell."
        )
    return array


def _resampled_means(sums: FloatArray, sizes: FloatArray, draws: int, seed: int) -> FloatArray:
    """Means of ``draws`` crossed resamples; sums [seeds, clusters], sizes [clusters]."""
    import numpy as np

    rng = np.random.default_rng(seed)
    seeds, groups = sums.shape
    out = np.empty(draws)
    for start in range(0, draws, 250):
        size = min(250, draws - start)
        rows = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size)
        columns = rng.multinomial(groups, np.full(groups, 1 / groups), size)
        total = ((rows @ sums) * columns).sum(axis=1)
        out[start : start + size] = total / (seeds * (columns @ sizes))
    return out
