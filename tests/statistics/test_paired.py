"""Paired prompts: the reference by SciPy, exact error rates, properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from puretune.errors import InputError
from puretune.statistics import (
    equivalence_of_means,
    equivalence_on_prompts,
    mcnemar,
    paired_difference,
    sign_flips,
    t_interval,
)

Table = tuple[int, int, int, int]


def outcomes(both: int, only_first: int, only_second: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    counts = [both, only_first, only_second, neither]
    return np.repeat([1.0, 1.0, 0.0, 0.0], counts), np.repeat([1.0, 0.0, 1.0, 0.0], counts)


tables = st.tuples(*[st.integers(0, 30)] * 4).filter(lambda t: sum(t) >= 2)


def chance(b: int, c: int, n: int, only_first: float, only_second: float) -> float:
    rest = 1 - only_first - only_second
    return float(stats.multinomial.pmf([b, c, n - b - c], n, [only_first, only_second, rest]))


@given(tables)
def test_mcnemar_is_the_binomial_test_on_prompts_that_differ(table: Table) -> None:
    result = mcnemar(*outcomes(*table))
    assert (result.only_first, result.only_second) == table[1:3]
    differing = table[1] + table[2]
    expected = stats.binomtest(table[1], differing).pvalue if differing else 1.0
    assert result.p == pytest.approx(expected)


@pytest.mark.parametrize("differing", [5, 20, 61])
def test_mcnemar_errs_at_most_as_often_as_it_says(differing: int) -> None:
    errs = [mcnemar(*outcomes(3, b, differing - b, 3)).p <= 0.05 for b in range(differing + 1)]
    assert float(stats.binom.pmf(np.flatnonzero(errs), differing, 0.5).sum()) <= 0.05


def test_seeds_are_not_to_be_stacked_into_mcnemar() -> None:
    with pytest.raises(InputError, match="shape"):
        mcnemar(np.zeros((3, 5)), np.ones((3, 5)))
    with pytest.raises(InputError, match="same prompts"):
        mcnemar([0, 1], [0, 1, 1])
    with pytest.raises(InputError, match="0 and 1"):
        mcnemar([0.5, 1], [0, 1])


def test_paired_difference_solves_the_score_equation_where_it_has_a_closed_form() -> None:
    # Without differing prompts the restricted estimate is q = 0 and the equation is n d / (1 - d) = z^2.
    z = stats.norm.ppf(0.975)
    end = z**2 / (40 + z**2)
    assert paired_difference(*outcomes(25, 0, 0, 15)).interval == pytest.approx((-end, end), abs=1e-9)


@given(tables)
def test_paired_difference_holds_its_value_and_mirrors(table: Table) -> None:
    first, second = outcomes(*table)
    result, mirrored = paired_difference(first, second), paired_difference(second, first)
    assert -1 <= result.low <= result.value <= result.high <= 1
    assert (mirrored.low, mirrored.high) == pytest.approx((-result.high, -result.low), abs=1e-9)


@pytest.mark.parametrize(("only_first", "only_second"), [(0.02, 0.0), (0.1, 0.05), (0.0, 0.0)])
def test_paired_difference_covers_near_zero_by_enumeration(only_first: float, only_second: float) -> None:
    n, covered = 25, 0.0
    for b in range(12):
        for c in range(12):
            low, high = paired_difference(*outcomes(0, b, c, n - b - c)).interval
            covered += chance(b, c, n, only_first, only_second) * (low <= only_first - only_second <= high)
    assert covered >= 0.93


# --- Equivalence -------------------------------------------------------------------------------------------


def test_equivalence_of_means_is_two_one_sided_t_tests() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(0.7, 0.02, 10), rng.normal(0.69, 0.02, 10)
    result = equivalence_of_means(first, second, 0.05)
    above = stats.ttest_1samp(first - second, -0.05, alternative="greater").pvalue
    below = stats.ttest_1samp(first - second, 0.05, alternative="less").pvalue
    assert result.p == pytest.approx(max(above, below))
    assert result.difference.interval == pytest.approx(t_interval(first - second, 0.9))
    assert result.difference.confidence == pytest.approx(0.9)
    assert result.equivalent


@given(st.lists(st.integers(-200, 200), min_size=2, max_size=8, unique=True), st.floats(0.01, 0.2))
def test_seed_means_are_equivalent_where_the_interval_is_inside_the_margin(
    points: list[int], margin: float
) -> None:
    result = equivalence_of_means([point / 1000 for point in points], [0.0] * len(points), margin)
    reach = max(abs(result.difference.low), abs(result.difference.high))
    assert abs(reach - margin) < 1e-9 or result.equivalent == (reach < margin)


@given(tables, st.floats(0.01, 0.5))
def test_prompts_are_equivalent_where_the_interval_is_inside_the_margin(table: Table, margin: float) -> None:
    result = equivalence_on_prompts(*outcomes(*table), margin)
    reach = max(abs(result.difference.low), abs(result.difference.high))
    assert abs(reach - margin) < 1e-9 or result.equivalent == (reach < margin)


def test_equivalence_on_prompts_errs_rarely_right_at_the_margin() -> None:
    n, wrong = 40, 0.0
    for b in range(20):
        for c in range(8):
            result = equivalence_on_prompts(*outcomes(0, b, c, n - b - c), 0.15)
            wrong += chance(b, c, n, 0.17, 0.02) * result.equivalent
    assert 0.005 < wrong < 0.07


def test_equal_answers_on_many_prompts_are_equivalent_and_on_few_are_not() -> None:
    assert equivalence_on_prompts(*outcomes(50, 0, 0, 50), 0.05).equivalent
    assert not equivalence_on_prompts(*outcomes(5, 0, 0, 5), 0.05).equivalent


def test_clusters_of_equal_prompts_count_once_in_equivalence() -> None:
    first, second = outcomes(20, 12, 8, 40)
    repeated = np.repeat(first, 3), np.repeat(second, 3)
    grouped = equivalence_on_prompts(*repeated, 0.1, np.repeat(np.arange(80), 3))
    assert grouped.p > equivalence_on_prompts(*repeated, 0.1).p
    assert grouped.difference.interval == pytest.approx(t_interval(first - second, 0.9), abs=1e-9)


def test_equivalence_that_cannot_be_tested_is_refused() -> None:
    with pytest.raises(InputError, match="two seeds"):
        equivalence_of_means([0.5], [0.5], 0.05)
    with pytest.raises(InputError, match="vary"):
        equivalence_of_means([0.5, 0.5], [0.25, 0.25], 0.05)
    with pytest.raises(InputError, match="vary"):
        equivalence_on_prompts([0.5, 0.6], [0.5, 0.6], 0.05)
    for margin in (0.0, -1.0, math.inf):
        with pytest.raises(InputError, match="margin"):
            equivalence_of_means([0.5, 0.6], [0.5, 0.5], margin)
    with pytest.raises(InputError, match="alpha"):
        equivalence_of_means([0.5, 0.6], [0.5, 0.5], 0.05, alpha=0.95)


def test_sign_flips_count_the_assignments_at_least_as_extreme() -> None:
    assert sign_flips([1.0, 2.0, 3.0]) == 2 / 8
    assert sign_flips([1.0, 2.0, -3.0]) == 1.0
    assert sign_flips([0.0, 0.0, 0.2, 0.1, 0.3]) == sign_flips([-0.2, -0.1, -0.3]) == 2 / 8
    assert sign_flips([0.0, 0.0]) == 1.0
    assert sign_flips([0.01] * 10) == 2 / 1024


def test_too_many_differences_to_flip_are_refused() -> None:
    with pytest.raises(InputError, match="too many for all sign flips"):
        sign_flips([0.1] * 23)
