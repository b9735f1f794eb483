"""What every interval here is returned as: a value, its interval, and what the interval is about.

The same numbers allow several intervals. Which one is meant is part of the result: ``estimand`` says what
would have to be drawn again for the value to change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from puretune.errors import InputError, unknown
from puretune.statistics._intervals import Interval, clopper_pearson, wilson

if TYPE_CHECKING:
    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

Estimand = str
"""What was drawn at random, in words: which of these answers were judged; the prompts; the training runs.

``these answers``; ``this adapter and new prompts of these 4 categories``; ``new training runs and new prompts
from the same source``.
"""


@dataclass(frozen=True)
class Estimate:
    """A value with its interval, in the unit of what was measured."""

    value: float
    low: float
    """Lower end of the interval, included."""
    high: float
    """Upper end of the interval, included."""
    estimand: Estimand
    """What the interval is about."""
    method: str
    """How the interval was made, in words for a report."""
    confidence: float = 0.95
    """The share of repetitions in which such an interval is meant to hold the truth."""

    @property
    def interval(self) -> Interval:
        """Both ends as a pair."""
        return Interval(self.low, self.high)

    @property
    def half_width(self) -> float:
        """Half the length of the interval."""
        return (self.high - self.low) / 2


def share(successes: int, n: int, method: str = "wilson", confidence: float = 0.95) -> Estimate:
    """One cell's rate, ``successes`` of ``n`` prompts, for new prompts from the same source.

    ``method`` is "wilson" or "clopper-pearson". The prompts must be independent draws and the adapter is
    taken as given: with clusters of prompts, or for a statement about training, use ``crossed_mean``.
    InputError as for ``wilson``.

    Source: see ``wilson`` and ``clopper_pearson``.
    """
    methods = {"wilson": wilson, "clopper-pearson": clopper_pearson}
    if method not in methods:
        raise unknown("interval for a share", method, methods)
    low, high = methods[method](successes, n, confidence)
    return Estimate(successes / n, low, high, "new prompts from the same source", method, confidence)


def numbers(values: ArrayLike, name: str, ndim: int = 1) -> FloatArray:
    """``values`` as a float array of ``ndim`` dimensions; InputError if empty, misshapen or not finite."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != ndim or array.size == 0:
        shape = {1: "one number per prompt", 2: "an array [seeds, prompts]"}[ndim]
        raise InputError(f"{name} has shape {array.shape}; give {shape}, at least one.")
    if not np.isfinite(array).all():
        raise InputError(
            f"{name} holds a value that is not finite. Unparsed verdicts go through with_unparsed."
        )
    return array


def pairs(first: ArrayLike, second: ArrayLike, ndim: int = 1) -> tuple[FloatArray, FloatArray]:
    """Two arrays of one shape, about the same prompts in the same order; InputError otherwise."""
    one, two = numbers(first, "first", ndim), numbers(second, "second", ndim)
    if one.shape != two.shape:
        raise InputError(
            f"first has shape {one.shape} and second {two.shape}: they must cover the same prompts."
        )
    return one, two


def cluster_index(clusters: ArrayLike | None, n: int) -> IntArray:
    """Clusters numbered from 0, one a prompt (each prompt its own where None); at least two clusters."""
    if clusters is None:
        index = np.arange(n)
    else:
        labels = np.asarray(clusters)
        if labels.shape != (n,):
            raise InputError(
                f"clusters has shape {labels.shape}; give one cluster for each of the {n} prompts."
            )
        index = np.unique(labels, return_inverse=True)[1]
    if index.max() < 1:
        raise InputError("an interval for new prompts needs at least two prompts from different clusters.")
    return index.astype(np.int64)


def checked_level(level: float, name: str) -> float:
    """``level`` where it lies between 0 and 1; InputError otherwise."""
    if not 0 < level < 1:
        raise InputError(f"{name} is {level!r}; use a number between 0 and 1.")
    return level
