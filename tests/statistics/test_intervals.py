"""Intervals: published values, SciPy as the reference, properties, and coverage by exact enumeration."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from puretune.errors import InputError
from puretune.statistics import Interval, clopper_pearson, mean, t_interval, wilson

Share = Callable[..., Interval]

counts = st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
confidences = st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99, 0.999])
shares = pytest.mark.parametrize("interval", [wilson, clopper_pearson])


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_values_newcombe_published(successes: int, n: int, low: float, high: float) -> None:
    # Newcombe (1998), Statistics in Medicine 17:857-872, table I, method 3.
    assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2527, 0.3676), (15, 148, 0.0578, 0.1617), (0, 20, 0.0, 0.1684), (1, 29, 0.0009, 0.1776)],
)
def test_clopper_pearson_gives_the_values_newcombe_published(
    successes: int, n: int, low: float, high: float
) -> None:
    # Newcombe (1998), table I, method 5.
    assert clopper_pearson(successes, n) == pytest.approx((low, high), abs=5e-5)


@given(counts, confidences)
def test_shares_agree_with_scipy(pair: tuple[int, int], confidence: float) -> None:
    reference = stats.binomtest(*pair)
    for ours, method in ((wilson, "wilson"), (clopper_pearson, "exact")):
        expected = reference.proportion_ci(confidence, method=method)
        assert ours(*pair, confidence) == pytest.approx((expected.low, expected.high), abs=1e-9)


@shares
@given(counts, confidences)
def test_a_share_lies_in_its_interval_and_the_interval_in_0_to_1(
    interval: Share, pair: tuple[int, int], confidence: float
) -> None:
    low, high = interval(*pair, confidence)
    assert 0 <= low <= pair[0] / pair[1] <= high <= 1


@shares
@given(counts, confidences)
def test_failures_mirror_successes(interval: Share, pair: tuple[int, int], confidence: float) -> None:
    low, high = interval(*pair, confidence)
    mirrored = interval(pair[1] - pair[0], pair[1], confidence)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-12)


@shares
@given(counts, confidences)
def test_one_more_success_moves_both_ends_up(
    interval: Share, pair: tuple[int, int], confidence: float
) -> None:
    successes, n = pair
    before, after = interval(successes, n, confidence), interval(min(successes + 1, n), n, confidence)
    assert before.low <= after.low
    assert before.high <= after.high


@shares
@given(counts)
def test_more_confidence_is_wider(interval: Share, pair: tuple[int, int]) -> None:
    narrow, wide = interval(*pair, 0.8), interval(*pair, 0.99)
    assert wide.low <= narrow.low <= narrow.high <= wide.high


@given(counts)
def test_clopper_pearson_contains_the_centre_of_wilson(pair: tuple[int, int]) -> None:
    centre, exact = sum(wilson(*pair)) / 2, clopper_pearson(*pair)
    assert exact.low <= centre <= exact.high


@shares
@pytest.mark.parametrize("n", [1, 7, 400])
def test_nothing_and_everything_reach_the_ends_exactly(interval: Share, n: int) -> None:
    assert interval(0, n).low == 0.0
    assert interval(n, n).high == 1.0


def coverage(interval: Share, n: int, p: float) -> float:
    """The probability, summed over all outcomes, that the interval holds ``p``."""
    ends = [interval(k, n) for k in range(n + 1)]
    chances = stats.binom.pmf(range(n + 1), n, p)
    return math.fsum(c for c, (low, high) in zip(chances, ends, strict=True) if low <= p <= high)


@pytest.mark.parametrize("n", [5, 20, 100])
def test_clopper_pearson_covers_at_least_what_it_promises_for_every_share(n: int) -> None:
    assert min(coverage(clopper_pearson, n, step / 200) for step in range(1, 200)) >= 0.95


@pytest.mark.parametrize("n", [20, 100])
def test_wilson_covers_95_percent_on_average_but_not_everywhere(n: int) -> None:
    covered = [coverage(wilson, n, step / 200) for step in range(1, 200)]
    assert sum(covered) / len(covered) == pytest.approx(0.95, abs=0.01)
    assert 0.8 < min(covered) < 0.95


def test_t_interval_gives_the_worked_value_of_a_textbook() -> None:
    # Mean 0.2, standard deviation 0.1, three values: 0.2 +- 4.3027 * 0.1 / sqrt(3).
    assert t_interval([0.1, 0.2, 0.3]) == pytest.approx((0.2 - 0.248414, 0.2 + 0.248414), abs=1e-6)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=12), confidences)
def test_t_interval_agrees_with_scipy_and_holds_the_mean(values: list[float], confidence: float) -> None:
    ours = t_interval(values, confidence)
    assert ours.low <= mean(values) <= ours.high
    spread = stats.sem(values)
    if spread > 1e-9:
        expected = stats.t.interval(confidence, len(values) - 1, loc=mean(values), scale=spread)
        assert ours == pytest.approx(expected, abs=1e-9)


def test_t_interval_covers_a_normal_mean_by_enumeration() -> None:
    # A sample of two from N(0, 1) covers 0 exactly when |x + y| <= t |x - y|; both are independent normals of
    # one variance, so the share of a fine grid of angles that is covered is the coverage.
    steps = 20_000
    angles = [math.pi * (step + 0.5) / steps for step in range(steps)]
    quantile = stats.t.ppf(0.975, 1)
    assert t_interval([0.0, 2.0]) == pytest.approx((1 - quantile, 1 + quantile), abs=1e-9)
    points = [(math.cos(a), math.sin(a)) for a in angles]
    covered = sum(interval.low <= 0 <= interval.high for interval in map(t_interval, points))
    assert covered / steps == pytest.approx(0.95, abs=1e-3)


def test_t_interval_is_cut_to_shares_on_request() -> None:
    assert t_interval([0.0, 0.02, 0.9]).low < 0
    assert t_interval([0.0, 0.02, 0.9], clip=True).low == 0.0
    assert t_interval([1.0, 0.98, 0.1], clip=True).high == 1.0


def test_equal_values_give_an_interval_without_width() -> None:
    assert t_interval([0.1, 0.1, 0.1]) == Interval(0.1, 0.1)


@settings(max_examples=50)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_the_mean_lies_between_the_extremes(values: list[float]) -> None:
    assert min(values) <= mean(values) <= max(values)


@shares
@pytest.mark.parametrize(
    ("successes", "n", "says"), [(0, 0, "at least one"), (3, 2, "0 <="), (-1, 2, "0 <="), (1.5, 2, "whole")]
)
def test_counts_that_make_no_share_are_refused(interval: Share, successes: int, n: int, says: str) -> None:
    with pytest.raises(InputError, match=says):
        interval(successes, n)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0, math.nan])
def test_a_confidence_outside_0_to_1_is_refused(confidence: float) -> None:
    with pytest.raises(InputError, match="confidence"):
        wilson(1, 2, confidence)


def test_means_without_enough_finite_values_are_refused() -> None:
    with pytest.raises(InputError, match="at least two"):
        t_interval([0.5])
    with pytest.raises(InputError, match="no values"):
        mean([])
    with pytest.raises(InputError, match="finite"):
        mean([0.5, math.nan])
