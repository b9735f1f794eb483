"""The defaults for scores as they come: several answers a prompt, some of them without a readable verdict."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from puretune.errors import InputError
from puretune.statistics._cells import (
    Conclusion,
    Design,
    Difference,
    conclusion,
    crossed_difference,
    crossed_mean,
    design,
    widened,
)
from puretune.statistics._crossed import (
    Components,
    SeedSpread,
    by_draw,
    components,
    interval_of_mean,
    variance_of_mean,
)
from puretune.statistics._estimate import Estimand, Estimate
from puretune.statistics._intervals import Categories, Interval
from puretune.statistics._unparsed import Bounds, with_unparsed

if TYPE_CHECKING:
    from puretune.statistics._estimate import FloatArray


_Z = 1.959963984540054
"""The normal quantile of a 95 % interval."""


@dataclass(frozen=True, eq=False)
class Prompts:
    """What a suite's answers are about, in their order: prompts, and their categories."""

    draws: tuple[Hashable, ...]
    """One an answer; samples of one prompt and paraphrases of one request have the same."""
    design: Design

    def averaged(self, scores: FloatArray) -> FloatArray:
        """[seeds, answers] to [seeds, prompts]."""
        return by_draw(scores, self.draws)

    def moments(self, scores: ArrayLike) -> Components:
        """Moments of [seeds, answers]; an unparsed verdict (NaN) counts as 0."""
        return self.design.moments(self.averaged(np.nan_to_num(np.asarray(scores, dtype=np.float64))))

    def design_effect(self, scores: ArrayLike) -> float | None:
        """For new categories: the variance of the mean over that of these categories' prompts; else None."""
        if not self.design.sampled:
            return None
        values = self.averaged(np.nan_to_num(np.asarray(scores, dtype=np.float64)))
        within = components(values, self.design.strata).prompt_variance
        return float(self.design.moments(values).prompt_variance / within) if within > 0 else None


def prompts_of(
    draws: Sequence[Hashable],
    categories: Sequence[Hashable] | None = None,
    population: Categories = "fixed",
) -> Prompts:
    """The prompts of answers in this order; a prompt's category is that of its first answer.

    InputError for new categories if there are fewer than two.
    """
    labels: dict[Hashable, Hashable] = {}
    for place, draw in enumerate(draws):
        labels.setdefault(draw, categories[place] if categories is not None else None)
    return Prompts(tuple(draws), design(list(labels.values()), population))


def bounded_mean(
    scores: ArrayLike,
    prompts: Prompts,
    *,
    spread: SeedSpread | None = None,
    seed_sd: float | None = None,
    confidence: float = 0.95,
) -> Bounds:
    """The mean of scores [seeds, answers] in [0, 1], NaN where a verdict could not be read, over prompts.

    As ``crossed_mean``, with unparsed verdicts filled in from both ends (``with_unparsed``).
    """
    return with_unparsed(
        np.asarray(scores, dtype=np.float64),
        lambda filled: crossed_mean(
            prompts.averaged(filled),
            prompts.design,
            spread=spread,
            seed_sd=seed_sd,
            confidence=confidence,
        ),
    )


def budgeted_mean(cells: Sequence[tuple[float, float, float]], prompts: int) -> Estimate:
    """The mean over seeds whose cells are known in part: (value, low, high) each, for these answers.

    What the judge has not seen adds its own reach to that of new training runs and new prompts, which is
    taken from the spread of the seeds' values and from a cell of that many independent prompts. Source: see
    ``widened``; the mean of the ends holds the mean where each interval holds its cell.
    """
    values, lows, highs = (np.asarray(column, dtype=np.float64) for column in zip(*cells, strict=True))
    centre, seeds = float(values.mean()), len(values)
    unknown = float((((highs - lows) / (2 * _Z)) ** 2).mean())
    moments = Components(
        np.asarray(centre),
        np.asarray(centre * (1 - centre) / prompts),
        np.asarray(values.var(ddof=1)),
        np.asarray(unknown),
        seeds,
        prompts,
        max(prompts - 1, 1),
    )
    variance, freedom = variance_of_mean(moments, moments.scale, None)
    low, high = interval_of_mean(moments, variance, freedom)
    below, above = centre - float(lows.mean()), float(highs.mean()) - centre
    ends = widened(centre, Interval(float(low), float(high)), below, above)
    estimand = "new training runs and new prompts from the same source"
    return Estimate(centre, ends.low, ends.high, estimand, f"judge budget over {seeds} seeds")


@dataclass(frozen=True)
class BoundedDifference:
    """First minus second where verdicts may be missing: everything holds whatever the missing ones say."""

    value: float
    """With every missing verdict as 0."""
    interval: Interval
    inner: Interval
    """The 90 % interval, for equivalence."""
    p: float
    """The largest p value that the missing verdicts allow."""
    standard_error: float
    seed_variance: float
    """Of the difference of one pair of seeds."""
    estimand: Estimand
    method: str

    def conclusion(self, margin: float) -> Conclusion:
        """As :func:`puretune.statistics.conclusion`."""
        return conclusion(self.interval, self.inner, margin, self.p)


def bounded_difference(
    first: ArrayLike,
    second: ArrayLike,
    prompts: Prompts,
    *,
    spread: SeedSpread | None = None,
    seed_sd: float | None = None,
    tuned: int = 2,
    confidence: float = 0.95,
) -> BoundedDifference:
    """``first`` minus ``second``, both [seeds, answers] with NaN for unparsed verdicts; see
    ``crossed_difference``.

    Interval and p are the worst over both fillings, p 1 where the missing verdicts leave open which is
    higher. Source: worst-case bounds of Manski (1990), Am. Economic Review 80:319-323.
    """
    one, two = (np.asarray(side, dtype=np.float64) for side in (first, second))
    if one.shape != two.shape:
        raise InputError(f"first has shape {one.shape} and second {two.shape}: pair them by seed and answer.")

    def filled(a: float, b: float) -> Difference:
        ours, theirs = (prompts.averaged(np.where(np.isnan(x), y, x)) for x, y in ((one, a), (two, b)))
        return crossed_difference(
            ours,
            theirs,
            prompts.design,
            spread=spread,
            seed_sd=seed_sd,
            tuned=tuned,
            confidence=confidence,
        )

    under, over = filled(0.0, 1.0), filled(1.0, 0.0)
    middle = filled(0.0, 0.0)
    open_ = under.estimate.value < 0 < over.estimate.value
    return BoundedDifference(
        value=middle.estimate.value,
        interval=Interval(under.estimate.low, over.estimate.high),
        inner=Interval(under.inner.low, over.inner.high),
        p=1.0 if open_ else max(under.p, over.p),
        standard_error=middle.standard_error,
        seed_variance=middle.seed_variance,
        estimand=middle.estimate.estimand,
        method=middle.estimate.method,
    )
