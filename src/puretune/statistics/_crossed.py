"""Training runs and prompts are crossed: every adapter meets every prompt. What each adds to a mean's
variance.

Arrays have the shape [..., seeds, prompts], values in [0, 1] (or differences of two such); leading axes are
independent studies, so that a benchmark replays thousands with the code that users call. Prompts are drawn
within categories, which are fixed: the variance between categories is no error of the mean.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import betaincinv, ndtri, stdtrit

from puretune.statistics._intervals import clopper_pearson

if TYPE_CHECKING:
    from puretune.statistics._estimate import FloatArray, IntArray


class Components(NamedTuple):
    """Moments of [..., seeds, prompts]; arrays of the leading shape."""

    mean: FloatArray
    prompt_variance: FloatArray
    """Variance of the mean over prompts drawn anew within their categories, these seeds given."""
    seed_mean_square: FloatArray
    """Variance of one seed's mean (n - 1 in the denominator); 0 for one seed."""
    noise: FloatArray
    """The part of it that prompts explain: what seeds without any effect would show; 0 for one seed."""
    seeds: int
    prompts: int
    freedom: int
    """Degrees of freedom of ``prompt_variance``."""

    @property
    def scale(self) -> FloatArray:
        """m (1 - m) of the mean m, kept off 0: what a between-seed variance is proportional to."""
        answers = self.seeds * self.prompts
        centre = (self.mean * answers + 0.5) / (answers + 1)
        return np.asarray(centre * (1 - centre))

    @property
    def seed_variance(self) -> FloatArray:
        """The between-seed variance, estimated from these answers alone; never below 0."""
        return np.maximum(self.seed_mean_square - self.noise, 0.0)


class SeedSpread(NamedTuple):
    """What several conditions say together about the variance between training runs.

    A condition at the rate m is taken to vary by ``ratio * m (1 - m)``, as overdispersed counts do: plain
    pooling would take the variance of conditions near 0 % for that of conditions that vary.
    """

    ratio: FloatArray
    mean_square: FloatArray
    """The same with the noise in it, from which the degrees of freedom are counted."""
    freedom: FloatArray
    """Satterthwaite's: fewer where one condition varies much more than the others."""
    conditions: int

    def sd(self, rate: float) -> float:
        """The standard deviation between training runs at a rate."""
        return float(np.sqrt(self.ratio * rate * (1 - rate)))


def strata_of(categories: Sequence[Hashable]) -> list[IntArray]:
    """Places of the prompts of each category; categories of one prompt are put together."""
    places: dict[Hashable, list[int]] = {}
    for place, category in enumerate(categories):
        places.setdefault(category, []).append(place)
    kept = [held for held in places.values() if len(held) > 1]
    single = [place for held in places.values() if len(held) == 1 for place in held]
    if len(single) == 1 and kept:
        smallest = min(kept, key=len)
        smallest += single
    elif single:
        kept.append(single)
    return [np.asarray(held, dtype=np.int64) for held in kept]


def by_draw(scores: FloatArray, draws: Sequence[Hashable]) -> FloatArray:
    """[..., seeds, answers] to [..., seeds, draws]: answers to one prompt (samples, paraphrases) are
    averaged."""
    index = np.asarray(_numbered(draws))
    size = int(index.max()) + 1
    if size == scores.shape[-1]:
        return scores
    share = np.zeros((scores.shape[-1], size))
    share[np.arange(len(index)), index] = 1.0
    return np.asarray(scores @ (share / share.sum(axis=0)))


def by_category(values: FloatArray, strata: Sequence[IntArray]) -> FloatArray:
    """Values for an interval over NEW categories: one number a category in place of one a prompt.

    The mean is kept; the spread over the numbers is that of the ratio estimator, so categories need not be of
    one size. Source: Cochran (1977), "Sampling Techniques", section 9A.
    """
    centre = values.mean(axis=-1, keepdims=True)
    sums = np.stack([(values[..., held] - centre).sum(axis=-1) for held in strata], axis=-1)
    return np.asarray(sums * len(strata) / values.shape[-1] + centre)


def components(values: FloatArray, strata: Sequence[IntArray]) -> Components:
    """The moments of ``values`` [..., seeds, prompts]; ``strata`` from :func:`strata_of`.

    Each category's variance is smoothed by one pseudo-prompt of the overall variance, so that a category
    whose few prompts agree does not count as certain. Source: analysis of variance of a crossed design, Owen
    (2007), Ann. Appl. Stat. 1:386-411; strata in proportion: Cochran (1977), section 5.4.
    """
    seeds, prompts = values.shape[-2:]
    by_prompt = values.mean(axis=-2)
    mean = np.asarray(by_prompt.mean(axis=-1))
    overall = ((by_prompt - mean[..., None]) ** 2).sum(axis=-1) / max(prompts - 1, 1)
    variance, noise = np.zeros_like(mean), np.zeros_like(mean)
    for held in strata:
        size, mine = len(held), by_prompt[..., held]
        effects = mine - mine.mean(axis=-1, keepdims=True)
        variance += (effects**2).sum(axis=-1) + overall
        if seeds > 1 and size > 1:
            part = values[..., held]
            rest = part - part.mean(axis=-1, keepdims=True) - effects[..., None, :]
            noise += size / (size - 1) * (rest**2).sum(axis=(-1, -2)) / (seeds - 1)
    square = values.mean(axis=-1).var(axis=-1, ddof=1) if seeds > 1 else np.zeros_like(mean)
    freedom = max(prompts - len(strata), 1)
    return Components(
        mean, variance / prompts**2, np.asarray(square), noise / prompts**2, seeds, prompts, freedom
    )


def seed_spread(conditions: Sequence[Sequence[Components]]) -> SeedSpread | None:
    """The variance between training runs, from all conditions that have several; None if none has.

    One entry a condition: its cells of one suite and metric (test templates of one adapter share its training
    run, so they count once). Source: Satterthwaite (1946), Biometrics Bulletin 2:110-114.
    """
    several = [cells for cells in conditions if cells and cells[0].seeds > 1]
    if not several:
        return None
    square = np.stack([np.mean([c.seed_mean_square for c in cells], axis=0) for cells in several])
    noise = np.stack([np.mean([c.noise for c in cells], axis=0) for cells in several])
    scale = np.stack([np.mean([c.scale for c in cells], axis=0) for cells in several]).sum(axis=0)
    runs = np.asarray([cells[0].seeds - 1 for cells in several]).reshape(-1, *[1] * (square.ndim - 1))
    weight = runs / runs.mean()
    largest = np.maximum(square, noise)
    freedom = largest.sum(axis=0) ** 2 / np.maximum((largest**2 / runs).sum(axis=0), 1e-300)
    freedom = np.where(largest.sum(axis=0) > 0, freedom, runs.sum())
    excess = np.maximum((weight * (square - noise)).sum(axis=0), 0.0)
    whole = np.maximum((weight * square).sum(axis=0), (weight * noise).sum(axis=0))
    return SeedSpread(excess / scale, whole / scale, np.asarray(freedom), len(several))


def variance_of_mean(
    moments: Components, scale: FloatArray, spread: SeedSpread | None, floor: float = 0.0
) -> tuple[FloatArray, FloatArray]:
    """Variance of the mean over new training runs and new prompts, with its degrees of freedom.

    ``scale`` is m (1 - m) of what is estimated (the sum of both for a difference), ``spread`` the study's;
    None: the seeds of these answers alone. Where these vary more than the study says, the excess is added
    with their own few degrees of freedom. ``floor`` is added to the part of the prompts. One seed: new
    prompts only.

    Their own variance counts 1 + 1 / seeds times: t holds for normal seed means, but near 0 % they are
    skewed, and few seeds often look alike by chance (the factor is chosen by benchmarks/statistics.py).
    Source: Satterthwaite (1946), Biometrics Bulletin 2:110-114.
    """
    seeds, prompt = moments.seeds, moments.prompt_variance + floor
    if seeds == 1:
        return prompt, np.full_like(prompt, float(moments.freedom))
    caution = 1 + 1 / seeds
    own = caution * moments.seed_variance
    if spread is None:
        borrowed, excess = own, np.zeros_like(own)
        square = caution * np.maximum(moments.seed_mean_square, moments.noise)
        freedom = np.full_like(own, float(seeds - 1))
    else:
        borrowed, square, freedom = spread.ratio * scale, spread.mean_square * scale, spread.freedom
        excess = np.maximum(own - borrowed, 0.0)
    variance = (borrowed + excess) / seeds + prompt
    parts = (square / seeds) ** 2 / freedom + (excess / seeds) ** 2 / (seeds - 1)
    parts += prompt**2 / moments.freedom
    return variance, np.maximum(variance**2 / np.maximum(parts, 1e-300), seeds - 1)


def interval_of_mean(
    moments: Components,
    variance: FloatArray,
    freedom: FloatArray,
    confidence: float = 0.95,
    *,
    one_draw_each: bool = False,
) -> tuple[FloatArray, FloatArray]:
    """Ends of the interval for a mean of values in [0, 1]: Clopper-Pearson at the effective number of
    answers.

    As many independent answers as would give this variance, fewer where the variance is known from few seeds.
    A mean of 0 or 1 counts its prompts once (all seeds may agree on them), and no interval is narrower at its
    open end than that of a cell in which no prompt succeeds. ``one_draw_each``: one seed, each prompt drawn
    by itself. Then the effective number is never below that of the prompts, because no values in [0, 1] vary
    more than yes and no, whatever the categories.

    Source: Korn & Graubard (1998), Survey Methodology 24:193-201; strata keep it valid: Hoeffding (1956),
    Ann. Math. Stat. 27:713-721; graded values vary less: Hoeffding (1963), J. Am. Stat. Assoc. 58:13-30.
    """
    upper = 0.5 + confidence / 2
    mean, prompts = np.clip(moments.mean, 0.0, 1.0), float(moments.prompts)
    inside = (mean > 0) & (mean < 1) & (variance > 0)
    effective = np.where(inside, mean * (1 - mean) / np.where(inside, variance, 1.0), prompts)
    effective = effective * np.where(inside, (ndtri(upper) / stdtrit(freedom, upper)) ** 2, 1.0)
    if one_draw_each:
        effective = np.maximum(effective, prompts)
    low, high = _beta_ends(mean * effective, effective, 1 - upper)
    reach = clopper_pearson(0, moments.prompts, confidence).high
    return np.minimum(low, 1 - reach), np.maximum(high, reach)


def _beta_ends(successes: FloatArray, n: FloatArray, tail: float) -> tuple[FloatArray, FloatArray]:
    """Clopper-Pearson for numbers that need not be whole."""
    k, failures = np.maximum(successes, 0.0), np.maximum(n - successes, 0.0)
    none, all_ = k < 1e-9, failures < 1e-9
    low = np.where(none, 0.0, betaincinv(np.where(none, 1.0, k), failures + 1, tail))
    high = np.where(all_, 1.0, betaincinv(k + 1, np.where(all_, 1.0, failures), 1 - tail))
    # Far below one effective answer the inverse is not found: then nothing is known of that end.
    return np.nan_to_num(low, nan=0.0), np.nan_to_num(high, nan=1.0)


def _numbered(labels: Sequence[Hashable]) -> list[int]:
    numbers: dict[Hashable, int] = {}
    return [numbers.setdefault(label, len(numbers)) for label in labels]
