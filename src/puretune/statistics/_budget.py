"""A judge budget: a cheap judge scores every answer, the expensive one only a random part of them.

The cheap scores never enter the result as if they were true. They decide which answers are worth the money
(strata), and they take out the part of the variance that they explain (the difference estimator); expensive
verdicts on a random subset then say what is left. If the cheap judge is worthless the interval is longer,
not wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from puretune.errors import InputError
from puretune.statistics._betting import Bets, stakes
from puretune.statistics._estimate import Estimate, checked_level, numbers
from puretune.statistics._hypergeometric import most_successes

if TYPE_CHECKING:
    from puretune.statistics._estimate import FloatArray, IntArray

# What is believed of a cheap judge before any label: of answers with score 0, 3 in 100 are successes, of
# answers with score 1, 70 in 100. Only the length of the interval depends on it.
BELIEF_AT_0, BELIEF_AT_1 = 0.03, 0.70
BELIEF_WEIGHT = 4.0
"""How many labels a stratum's belief weighs against those that have come in."""


@dataclass(frozen=True, eq=False)
class SamplePlan:
    """Which answers the expensive judge sees, in which order; everything random in it is done."""

    cheap: FloatArray
    """Cheap score of each of the N answers, in [0, 1]."""
    strata: IntArray
    """Stratum of each answer: 0, or 1 for the answers with the higher cheap scores."""
    order: IntArray
    """All N answers in the order in which they will be judged."""
    shares: FloatArray
    """Chance that the next answer comes from each stratum, while both last."""
    budget: int
    """Number of judgements for which the interval is meant to be shortest."""

    @property
    def chosen(self) -> IntArray:
        """The answers that the budget pays for, in order."""
        return self.order[: self.budget]


def plan_sample(cheap_scores: ArrayLike, budget: int, seed: int) -> SamplePlan:
    """A stratified random order of all answers, from cheap scores in [0, 1] (1: the cheap judge sees harm).

    Two strata, cut between cheap scores where the believed variance is smallest; the next stratum is drawn
    by the believed spread of its answers (Neyman's allocation, about half of a proportional share at the
    least), the answer uniformly from what is left of it. Deterministic in ``seed``.
    InputError for scores outside [0, 1] or a budget outside 1..N.

    Source: Neyman (1934), J. Royal Stat. Soc. 97:558-625; Cochran (1977), "Sampling Techniques", ch. 5.
    """
    cheap = numbers(cheap_scores, "cheap_scores")
    if cheap.min() < 0 or cheap.max() > 1:
        raise InputError("cheap scores lie outside [0, 1]; scale them to [0, 1].")
    if not 1 <= budget <= len(cheap):
        raise InputError(f"a budget of {budget} judgements for {len(cheap)} answers; use 1 to {len(cheap)}.")
    strata = (cheap > _cut(cheap)).astype(np.int64)
    sizes = np.bincount(strata, minlength=2)
    believed = [_spread(cheap[strata == h]) for h in (0, 1)]
    wanted = sizes * believed / (sizes * believed).sum()
    shares = np.maximum(wanted, sizes / sizes.sum() / 2)
    shares = shares / shares.sum()
    rng = np.random.default_rng(seed)
    members = [rng.permutation(np.flatnonzero(strata == h)) for h in (0, 1)]
    order = _interleaved(members, rng.random(len(cheap)) < shares[1])
    plan = SamplePlan(cheap.copy(), strata, order, shares, budget)
    for array in (plan.cheap, plan.strata, plan.order, plan.shares):
        array.flags.writeable = False
    return plan


def budgeted_estimate(
    plan: SamplePlan, labels: ArrayLike, *, anytime: bool = False, confidence: float = 0.95
) -> Estimate:
    """The mean over ALL answers of what the expensive judge would say, for "these answers".

    ``labels`` are its verdicts, scaled to [0, 1], on the first ``len(labels)`` answers of ``plan.order``.
    Without ``anytime`` the number of labels must not depend on the labels. Then 0/1 labels get the exact
    interval (hypergeometric, combined over the strata), other scores the betting interval. With ``anytime``
    the betting interval holds at every number of labels at once, so one may look and stop. Every interval is
    valid for any cheap judge and any rate, 0 % included. The value is the difference estimator, with the
    weight of the cheap score taken from earlier labels only, hence unbiased; it is moved into the interval
    where it falls outside. Unparsed verdicts go through ``with_unparsed``.

    Source: difference estimator and weight: Angelopoulos, Duchi & Zrnic (2023), "PPI++", arXiv 2311.01453;
    betting on weighted samples without replacement with a control variate: Shekhar, Xu, Lipton, Liang &
    Ramdas (2023), "Risk-limiting financial audits via weighted sampling without replacement", UAI 2023;
    exact interval: see ``most_successes``.
    """
    y = _labels(plan, labels)
    checked_level(confidence, "confidence")
    walk = _walk(plan, y)
    if anytime or not bool(((y == 0) | (y == 1)).all()):
        low, high = _betting_ends(plan, y, walk, confidence)
        method = "difference estimator, betting interval at any number of labels"
    else:
        low, high = _exact_ends(plan, y, confidence)
        method = "difference estimator, exact interval for a fixed number of labels"
    value = min(max(_difference_estimate(plan, y, walk), low), high)
    return Estimate(value, low, high, "these answers", method, confidence)


def stop_at(plan: SamplePlan, labels: ArrayLike, half_width: float, *, confidence: float = 0.95) -> bool:
    """Whether the labels so far give an interval of at most ``half_width``; ask after as many as you like.

    Then report ``budgeted_estimate(..., anytime=True)``: stopping was decided by the labels.
    """
    if not 0 < half_width < 1:
        raise InputError(f"half_width is {half_width!r}; use a number between 0 and 1, such as 0.03.")
    return budgeted_estimate(plan, labels, anytime=True, confidence=confidence).half_width <= half_width


@dataclass(frozen=True, eq=False)
class _Walk:
    """What was known before each label, one row a label: left and chances [n, 2], the others [n]."""

    stratum: IntArray
    left: FloatArray
    """Answers not yet judged, per stratum."""
    chances: FloatArray
    """Chance of each stratum to be next."""
    weight: FloatArray
    """The weight of the cheap score, from earlier labels."""
    cheap: FloatArray
    """The cheap score of the answer."""


def _walk(plan: SamplePlan, y: FloatArray) -> _Walk:
    chosen = plan.order[: len(y)]
    stratum, cheap = plan.strata[chosen], plan.cheap[chosen]
    picked = np.eye(2)[stratum]
    left = np.bincount(plan.strata, minlength=2) - _before(picked)
    chances = np.where(left > 0, plan.shares, 0.0)
    chances = chances / chances.sum(axis=1, keepdims=True)
    # The slope through the origin of label on cheap score, from the labels before and the belief.
    slope = (BELIEF_WEIGHT * BELIEF_AT_1 + _before(cheap * y)) / (BELIEF_WEIGHT + _before(cheap * cheap))
    return _Walk(stratum, left, chances, np.clip(slope, 0.0, 1.0), cheap)


def _difference_estimate(plan: SamplePlan, y: FloatArray, walk: _Walk) -> float:
    """Stratum means of labels, each corrected by how unusual its cheap score was among those left."""
    total = 0.0
    for h in (0, 1):
        cheap, mine = plan.cheap[plan.strata == h], walk.stratum == h
        if len(cheap) == 0:
            continue
        if not mine.any():
            total += float((BELIEF_AT_0 + (BELIEF_AT_1 - BELIEF_AT_0) * cheap).sum())
            continue
        expected = (cheap.sum() - _before(walk.cheap[mine])) / walk.left[mine, h]
        corrected = y[mine] - walk.weight[mine] * (walk.cheap[mine] - expected)
        total += len(cheap) * float(np.mean(corrected))
    return total / len(plan.cheap)


def _exact_ends(plan: SamplePlan, y: FloatArray, confidence: float) -> tuple[float, float]:
    n, stratum = len(plan.cheap), plan.strata[plan.order[: len(y)]]
    sizes = np.bincount(plan.strata, minlength=2)
    sampled = np.bincount(stratum, minlength=2)
    hits = np.bincount(stratum, y, 2).astype(np.int64)
    found = [(int(hits[h]), int(sampled[h]), int(sizes[h])) for h in (0, 1) if sizes[h]]
    tail = (1 - confidence) / 2
    high = most_successes(found, tail)
    # The fewest successes are the most failures, turned round.
    low = n - most_successes([(drawn - k, drawn, size) for k, drawn, size in found], tail)
    return low / n, high / n


def _betting_ends(plan: SamplePlan, y: FloatArray, walk: _Walk, confidence: float) -> tuple[float, float]:
    n, known = len(plan.cheap), float(y.sum()) / len(plan.cheap)
    bets = bets_on_plan(plan, y, walk, confidence)
    return bets.ends(confidence, known, known + (n - len(y)) / n)


def bets_on_plan(plan: SamplePlan, y: FloatArray, walk: _Walk, confidence: float) -> Bets:
    """Bets on inverse-probability weighted labels, less the weighted cheap score, whose mean is known."""
    n = len(plan.cheap)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(walk.left > 0, walk.left / (n * walk.chances), 0.0)
    mine = scale[np.arange(len(y)), walk.stratum]
    residual = y - walk.weight * walk.cheap
    expected = walk.weight * (plan.cheap.sum() - _before(walk.cheap)) / n
    ends = np.array([[c.min(), c.max()] if len(c) else [0.0, 0.0] for c in _cheap_by_stratum(plan)])
    least = np.where(walk.left > 0, -scale * walk.weight[:, None] * ends[:, 1], np.inf).min(axis=1)
    most = np.where(walk.left > 0, scale * (1 - walk.weight[:, None] * ends[:, 0]), -np.inf).max(axis=1)
    spread = _residual_squares(plan, walk, residual)
    first = (np.bincount(plan.strata, minlength=2) / n) ** 2 / np.maximum(plan.shares, 1e-12)
    return Bets(
        outcome=mine * residual + expected,
        settled=_before(y) / n,
        least=least + expected,
        most=most + expected,
        stake=stakes(
            (walk.chances * scale**2 * spread).sum(axis=1), spread @ first, plan.budget, n, confidence
        ),
    )


def _residual_squares(plan: SamplePlan, walk: _Walk, residual: FloatArray) -> FloatArray:
    """Expected squared residual per stratum, from the labels before and the belief; [n, 2]."""
    believed = np.array([_spread(cheap) ** 2 if len(cheap) else 0.0 for cheap in _cheap_by_stratum(plan)])
    picked = np.eye(2)[walk.stratum]
    return np.asarray(
        (BELIEF_WEIGHT * believed + _before(picked * residual[:, None] ** 2))
        / (BELIEF_WEIGHT + _before(picked))
    )


def _cheap_by_stratum(plan: SamplePlan) -> list[FloatArray]:
    return [plan.cheap[plan.strata == h] for h in (0, 1)]


def _before(values: FloatArray) -> FloatArray:
    """Sums over the rows before each row."""
    return np.asarray(np.cumsum(values, axis=0) - values)


def _cut(cheap: FloatArray) -> float:
    """The score up to which answers form stratum 0: the smallest sum of size x believed spread."""
    ordered = np.sort(cheap)
    believed = BELIEF_AT_0 + (BELIEF_AT_1 - BELIEF_AT_0) * ordered
    count = np.arange(1, len(ordered) + 1)
    sums = np.cumsum(believed)
    lower = np.sqrt(sums * (count - sums))
    rest, rest_sums = count[-1] - count, sums[-1] - sums
    upper = np.sqrt(np.maximum(rest_sums * (rest - rest_sums), 0.0))
    # A cut must not part equal scores.
    last = np.append(ordered[1:] > ordered[:-1], True)
    return float(ordered[np.argmin(np.where(last, lower + upper, np.inf))])


def _spread(cheap: FloatArray) -> float:
    if len(cheap) == 0:
        return 0.0
    believed = BELIEF_AT_0 + (BELIEF_AT_1 - BELIEF_AT_0) * float(cheap.mean())
    return math.sqrt(believed * (1 - believed))


def _interleaved(members: list[IntArray], from_upper: NDArray[np.bool_]) -> IntArray:
    """Members of both strata in the order in which strata were drawn, until one is used up; then the rest."""
    used = np.stack([np.cumsum(~from_upper), np.cumsum(from_upper)], axis=1)
    over = (used > [len(members[0]), len(members[1])]).any(axis=1)
    length = int(np.argmax(over)) if over.any() else len(from_upper)
    upper = from_upper[:length]
    taken = [int((~upper).sum()), int(upper.sum())]
    order = np.empty(len(from_upper), dtype=np.int64)
    order[:length][~upper] = members[0][: taken[0]]
    order[:length][upper] = members[1][: taken[1]]
    order[length:] = np.concatenate([members[0][taken[0] :], members[1][taken[1] :]])
    return order


def _labels(plan: SamplePlan, labels: ArrayLike) -> FloatArray:
    y = numbers(labels, "labels")
    if len(y) > len(plan.order):
        raise InputError(f"{len(y)} labels for {len(plan.order)} answers: more than exist.")
    if y.min() < 0 or y.max() > 1:
        raise InputError("labels lie outside [0, 1]; scale scores to [0, 1].")
    return y
