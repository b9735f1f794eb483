"""Many comparisons and sample sizes, against exact power; unparsed verdicts as bounds."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from puretune.errors import InputError
from puretune.statistics import (
    Estimate,
    bounded_share,
    clopper_pearson,
    crossed_mean,
    holm,
    mcnemar,
    minimum_detectable,
    prompts_needed,
    prompts_needed_paired,
    seeds_needed,
    share,
    with_unparsed,
)


def test_holm_gives_the_worked_steps_on_a_matrix() -> None:
    adjusted = holm([[0.01, 0.04], [np.nan, 0.03]])
    assert adjusted == pytest.approx(np.array([[0.03, 0.06], [np.nan, 0.06]]), nan_ok=True)


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_lies_between_the_raw_and_the_bonferroni_value(p_values: list[float]) -> None:
    adjusted, raw = holm(p_values), np.array(p_values)
    assert (adjusted >= raw).all()
    assert (adjusted <= np.minimum(raw * len(p_values), 1)).all()


def test_holm_refuses_what_is_no_p_value() -> None:
    with pytest.raises(InputError, match="outside"):
        holm([0.1, 1.2])


@pytest.mark.parametrize(("first", "second"), [(0.35, 0.1), (0.18, 0.01), (0.5, 0.2)])
def test_prompts_needed_give_fishers_exact_test_its_power(first: float, second: float) -> None:
    n = prompts_needed(first, second)
    one, two = (stats.binom.pmf(range(n + 1), n, rate) for rate in (first, second))
    power = 0.0
    for k, m in product(range(n + 1), repeat=2):
        if one[k] * two[m] > 1e-7:
            power += one[k] * two[m] * (stats.fisher_exact([[k, n - k], [m, n - m]])[1] <= 0.05)
    assert 0.78 < power < 0.89


def test_prompts_needed_paired_give_mcnemar_its_power() -> None:
    n = prompts_needed_paired(0.4, 0.1)
    rates = [0.4 * 0.9, 0.6 * 0.1]

    def power(prompts: int) -> float:
        total = 0.0
        for b in range(prompts + 1):
            for c in range(prompts + 1 - b):
                tail = 2 * stats.binom.cdf(min(b, c), b + c, 0.5)
                if tail <= 0.05:
                    total += stats.multinomial.pmf([b, c, prompts - b - c], prompts, [*rates, 1 - sum(rates)])
        return float(total)

    assert power(n) >= 0.8 > power(n - 1)
    assert mcnemar([1.0] * 6 + [0.0] * 30, [0.0] * 36).p <= 0.05


def test_fewer_prompts_are_needed_for_wider_gaps_agreeing_answers_and_less_power() -> None:
    assert prompts_needed(0.3, 0.1) < prompts_needed(0.2, 0.1) < prompts_needed(0.2, 0.1, power=0.95)
    assert prompts_needed_paired(0.2, 0.1, discordant=0.1) < prompts_needed_paired(0.2, 0.1)
    assert prompts_needed(0.1, 0.3) == prompts_needed(0.3, 0.1)
    assert prompts_needed_paired(0.1, 0.3) == prompts_needed_paired(0.3, 0.1)


def test_sample_sizes_that_make_no_sense_are_refused() -> None:
    for function in (prompts_needed, prompts_needed_paired):
        with pytest.raises(InputError, match="different"):
            function(0.2, 0.2)
        with pytest.raises(InputError, match="power"):
            function(0.2, 0.1, power=1.0)
    with pytest.raises(InputError, match="discordant"):
        prompts_needed_paired(0.2, 0.1, discordant=0.05)
    with pytest.raises(InputError, match="more than"):
        prompts_needed_paired(0.2, 0.2 + 1e-5)


# --- Unparsed verdicts -------------------------------------------------------------------------------------


def test_unparsed_verdicts_widen_a_share_to_bounds() -> None:
    result = bounded_share(3, 5, 100, "clopper-pearson")
    assert (result.least, result.most, result.unparsed) == (0.03, 0.08, 5)
    assert (result.low, result.high) == (clopper_pearson(3, 100).low, clopper_pearson(8, 100).high)


@given(st.lists(st.sampled_from([0.0, 1.0, math.nan]), min_size=1, max_size=8))
def test_bounds_hold_every_way_the_missing_verdicts_could_have_come_out(values: list[float]) -> None:
    def estimate(filled: np.ndarray) -> Estimate:
        return share(int(filled.sum()), len(filled))

    bounds = with_unparsed(values, estimate)
    for fill in product([0.0, 1.0], repeat=bounds.unparsed):
        filled = np.array(values)
        filled[np.isnan(filled)] = fill
        result = estimate(filled)
        assert bounds.least <= result.value <= bounds.most
        assert bounds.low <= result.low <= result.high <= bounds.high


def test_bounds_work_for_pooled_cells_and_keep_a_complete_cell_as_it_is() -> None:
    values = (np.random.default_rng(0).random((3, 50)) < 0.3).astype(float)
    complete, plain = with_unparsed(values, crossed_mean), crossed_mean(values)
    assert (complete.least, complete.low, complete.high) == (plain.value, plain.low, plain.high)
    assert complete.unparsed == 0
    values[0, :5] = np.nan
    assert with_unparsed(values, crossed_mean).low < with_unparsed(values, crossed_mean).high


def test_seeds_needed_is_the_fewest_that_detect_the_difference() -> None:
    seeds = seeds_needed(0.1, 0.05, 0.05)
    assert minimum_detectable(seeds, 0.05, 0.05) <= 0.1 < minimum_detectable(seeds - 1, 0.05, 0.05)
    # Variance known from a whole study needs fewer standard errors than that of three seeds alone.
    assert minimum_detectable(3, 0.05, freedom=20) < minimum_detectable(3, 0.05) / 1.5


def test_a_planned_difference_is_found_as_often_as_asked() -> None:
    rng, seeds = np.random.default_rng(0), seeds_needed(0.1, 0.05, 0.03)
    drawn = rng.normal(0.1, math.sqrt(2 * 0.05**2 + 0.03**2), (4000, seeds))
    found = stats.ttest_1samp(drawn, 0.0, axis=1).pvalue < 0.05
    assert 0.75 < found.mean() < 0.9


def test_what_no_number_of_seeds_can_tell_is_refused() -> None:
    with pytest.raises(InputError, match="Give the smallest one"):
        seeds_needed(0.0, 0.05)
    with pytest.raises(InputError, match="more than 1,000 seeds"):
        seeds_needed(0.0001, 0.3)
    with pytest.raises(InputError, match="says nothing about new training runs"):
        minimum_detectable(1, 0.05)


def test_counts_and_scores_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="do not fit"):
        bounded_share(3, 5, 7)
    with pytest.raises(InputError, match="outside"):
        with_unparsed([5.0, math.nan], lambda v: share(1, len(v)))
    with pytest.raises(InputError, match="Did you mean 'wilson'"):
        share(1, 2, "wilsn")
