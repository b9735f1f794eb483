"""Parts that the bootstraps share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puretune.statistics._estimate import checked_level

if TYPE_CHECKING:
    from puretune.statistics._estimate import FloatArray


def expanded_percentiles(means: FloatArray, units: int, confidence: float) -> tuple[float, float]:
    """Percentiles of resampled means, moved outwards for the small number of resampled ``units``.

    A plain percentile interval takes the normal quantile where t belongs and the variance with n in place of
    n - 1; the expanded one undoes both.

    Source: Hesterberg (2015), "What teachers should know about the bootstrap", Am. Statistician 69:371-386.
    """
    import numpy as np
    from scipy.special import ndtr, stdtrit

    upper = 0.5 + checked_level(confidence, "confidence") / 2
    tail = float(ndtr(-np.sqrt(units / (units - 1)) * stdtrit(units - 1, upper)))
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def resampled_ratios(sums: FloatArray, sizes: FloatArray, draws: int, seed: int) -> FloatArray:
    """``draws`` values of sum(sums) / sum(sizes) over clusters drawn with replacement.

    Clusters with equal sum and size are drawn together, by one multinomial count: the same distribution as
    drawing them one by one, and for 0/1 answers only a handful of kinds.
    """
    import numpy as np

    kinds, counts = np.unique(np.stack([sums, sizes], axis=1), axis=0, return_counts=True)
    rng = np.random.default_rng(seed)
    parts = []
    step = max(1, 2_000_000 // len(kinds))
    for start in range(0, draws, step):
        drawn = rng.multinomial(len(sums), counts / len(sums), min(step, draws - start))
        parts.append((drawn @ kinds[:, 0]) / (drawn @ kinds[:, 1]))
    return np.concatenate(parts)
