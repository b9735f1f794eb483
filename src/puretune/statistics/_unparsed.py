"""Verdicts that could not be read: neither dropped nor guessed, they widen the result to bounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from puretune.errors import InputError
from puretune.statistics._estimate import Estimand, Estimate, share

if TYPE_CHECKING:
    from puretune.statistics._estimate import FloatArray


@dataclass(frozen=True)
class Bounds:
    """What is known of a value when some verdicts are missing."""

    least: float
    """The value if every missing verdict were the lowest one."""
    most: float
    """The value if every missing verdict were the highest one."""
    low: float
    """Lower end of the interval around ``least``."""
    high: float
    """Upper end of the interval around ``most``."""
    unparsed: int
    """How many verdicts are missing."""
    estimand: Estimand
    method: str
    confidence: float


def with_unparsed(
    values: ArrayLike,
    estimate: Callable[[FloatArray], Estimate],
    *,
    lowest: float = 0.0,
    highest: float = 1.0,
) -> Bounds:
    """Bounds for ``values`` of any shape with NaN for each unparsed verdict.

    ``estimate`` is run twice, with NaN as ``lowest`` and as ``highest``; the interval goes from the low end
    of the first to the high end of the second. It holds the true value with at least the confidence of
    ``estimate``, whatever the missing verdicts are and whatever the reason they are missing, because the
    true value lies between those that the two fillings estimate. Differences: fill ``first - second`` with
    -1 and 1.

    Source: worst-case bounds of Manski (1990), Am. Economic Review 80:319-323.
    """
    array = np.asarray(values, dtype=np.float64)
    missing = np.isnan(array)
    known = array[~missing]
    if not (lowest < highest and ((known >= lowest) & (known <= highest)).all()):
        raise InputError(
            f"a verdict lies outside [{lowest}, {highest}], the range that unparsed ones may have."
        )
    under, over = (estimate(np.where(missing, fill, array)) for fill in (lowest, highest))
    return _joined(under, over, int(missing.sum()))


def bounded_share(
    successes: int, unparsed: int, n: int, method: str = "wilson", confidence: float = 0.95
) -> Bounds:
    """Bounds for a rate over all ``n`` prompts asked, of which ``unparsed`` have no readable verdict.

    InputError if the counts do not fit. Source: as for :func:`with_unparsed` and ``share``.
    """
    if unparsed < 0 or successes + unparsed > n:
        raise InputError(f"{successes} successes and {unparsed} unparsed do not fit into {n} prompts asked.")
    under, over = (share(count, n, method, confidence) for count in (successes, successes + unparsed))
    return _joined(under, over, unparsed)


def _joined(under: Estimate, over: Estimate, unparsed: int) -> Bounds:
    method = under.method if under.method == over.method else f"{under.method}; {over.method}"
    return Bounds(
        under.value,
        over.value,
        under.low,
        over.high,
        unparsed,
        under.estimand,
        method,
        under.confidence,
    )
