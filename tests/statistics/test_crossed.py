"""Cells over seeds and prompts: what the interval must hold, what it speaks of, and what it never does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from puretune.errors import InputError
from puretune.statistics import (
    bounded_mean,
    clopper_pearson,
    crossed_mean,
    design,
    prompts_of,
    seed_spread,
    t_interval,
)

shapes = st.tuples(st.integers(1, 6), st.integers(2, 12))
cells = shapes.flatmap(lambda s: hnp.arrays(np.float64, s, elements=st.sampled_from([0.0, 0.25, 0.5, 1.0])))
FOUR = [f"c{n % 4}" for n in range(400)]


def rows(*counts: int, prompts: int = 100, shift: int = 0) -> np.ndarray:
    """Seeds that succeed on so many prompts each, every seed on other ones (``shift``) or on the same."""
    values = np.zeros((len(counts), prompts))
    for seed, count in enumerate(counts):
        values[seed, (np.arange(count) + seed * shift) % prompts] = 1
    return values


def test_three_seeds_of_400_safe_answers_are_tight_whatever_the_categories() -> None:
    for plan in (design(400), design(FOUR)):
        result = crossed_mean(rows(0, 0, 0, prompts=400), plan)
        assert result.interval == pytest.approx(clopper_pearson(0, 400))
        assert result.high < 0.01


def test_one_harmful_answer_of_1200_is_hardly_less_certain_than_none() -> None:
    result = crossed_mean(rows(1, 0, 0, prompts=400), design(FOUR))
    assert clopper_pearson(0, 400).high <= result.high < 0.02


def test_categories_are_strata_and_new_categories_rest_on_their_number() -> None:
    values = np.zeros((3, 400))
    values[:, ::4] = 1  # one category always succeeds: no prompt of these categories is in doubt
    fixed, sampled = (crossed_mean(values, design(FOUR, population)) for population in ("fixed", "sampled"))
    assert fixed.high - fixed.low < 0.05
    assert sampled.high - sampled.low > 0.5
    assert fixed.estimand == "new training runs and new prompts of these 4 categories"
    assert sampled.estimand == "new training runs and new categories (these 4 are all it rests on)"


def test_equal_seed_means_have_an_interval_that_prompts_allow() -> None:
    alike, apart = crossed_mean(rows(5, 5, 5)), crossed_mean(rows(5, 5, 5, shift=30))
    one = clopper_pearson(5, 100)
    # Seeds that answer every prompt alike are one look at the prompts.
    assert (alike.low, alike.high) == pytest.approx((one.low, one.high), abs=0.012)
    assert apart.low < 0.05 < apart.high
    assert apart.high - apart.low > 0.05


def test_the_width_does_not_jump_from_nine_to_ten_seeds() -> None:
    rng = np.random.default_rng(3)
    widths = []
    for seeds in (8, 9, 10, 11):
        values = (rng.random((200, seeds, 400)) < rng.normal(0.3, 0.03, (200, seeds, 1))).astype(float)
        ends = [crossed_mean(one, design(FOUR)).interval for one in values]
        widths.append(float(np.median([high - low for low, high in ends])))
    assert max(widths) < 1.5 * min(widths)
    assert max(widths) < 0.1


def test_one_seed_speaks_of_its_adapter_and_is_exact() -> None:
    result = crossed_mean(rows(7))
    assert result.interval == pytest.approx(clopper_pearson(7, 100))
    assert result.estimand == "this adapter and new prompts from the same source"
    graded = crossed_mean(np.linspace(0.3, 0.7, 100)[None])
    assert graded.interval == pytest.approx(t_interval(np.linspace(0.3, 0.7, 100)), abs=0.01)


def test_an_assumed_seed_sd_widens_one_seed_and_is_named() -> None:
    result = crossed_mean(rows(10), seed_sd=0.05)
    assert result.high - result.value > 1.96 * 0.05
    assert "assumed" in result.estimand
    assert "assuming 5 points between training runs" in result.method
    assert crossed_mean(rows(9, 10, 11), seed_sd=0.05) == crossed_mean(rows(9, 10, 11))
    with pytest.raises(InputError, match="seed_sd"):
        crossed_mean(rows(10), seed_sd=5.0)


@settings(deadline=None)
@given(cells)
def test_the_interval_holds_its_value_has_width_and_stays_in_0_to_1(values: np.ndarray) -> None:
    result = crossed_mean(values)
    assert 0 <= result.low <= result.value <= result.high <= 1
    assert result.high - result.low > 0.01


@settings(deadline=None)
@given(cells)
def test_failures_mirror_successes(values: np.ndarray) -> None:
    result, mirror = crossed_mean(values), crossed_mean(1 - values)
    assert (result.low, result.high) == pytest.approx((1 - mirror.high, 1 - mirror.low), abs=1e-6)


def test_answers_to_one_prompt_are_one_draw() -> None:
    answers = np.repeat(rows(4, prompts=20), 5, axis=1)
    draws = [f"p{n}" for n in range(20) for _ in range(5)]
    assert bounded_mean(answers, prompts_of(draws)).high == pytest.approx(
        crossed_mean(rows(4, prompts=20)).high
    )


def test_unparsed_verdicts_are_filled_in_from_both_ends() -> None:
    values = rows(4, 4, 4, prompts=20)
    values[:, 10:12] = np.nan
    found = bounded_mean(values, prompts_of(range(20)))
    least, most = np.nan_to_num(values), np.nan_to_num(values, nan=1.0)
    assert (found.least, found.most) == pytest.approx((0.2, 0.3))
    assert (found.low, found.high) == (crossed_mean(least).low, crossed_mean(most).high)


def test_conditions_lend_each_other_what_they_know_of_seeds() -> None:
    plan, rng = design(100), np.random.default_rng(1)
    study = [(rng.random((3, 100)) < 0.2).astype(float) for _ in range(6)]
    spread = seed_spread([[plan.moments(values)] for values in study])
    assert spread is not None
    assert spread.conditions == 6
    varied = rows(14, 20, 27, shift=35)
    alone, helped = crossed_mean(varied), crossed_mean(varied, spread=spread)
    assert helped.high - helped.low < 0.75 * (alone.high - alone.low)
    assert "seed variance from 6 conditions" in helped.method


def test_a_condition_that_varies_more_than_the_study_keeps_its_own_spread() -> None:
    plan = design(100)
    calm = [plan.moments(rows(20, 20, 20, shift=35)) for _ in range(6)]
    spread = seed_spread([[one] for one in calm])
    wild = rows(2, 20, 60, shift=35)
    assert crossed_mean(wild, spread=spread).high > crossed_mean(wild).high - 0.25
    assert crossed_mean(wild, spread=spread).high > 0.5


def test_the_seed_sd_of_a_study_is_found() -> None:
    plan, rng = design(400), np.random.default_rng(2)
    chances = rng.normal(0.3, 0.06, (40, 5, 1))
    study = [(rng.random((5, 400)) < chance).astype(float) for chance in chances]
    spread = seed_spread([[plan.moments(values)] for values in study])
    assert spread is not None
    assert spread.sd(0.3) == pytest.approx(0.06, abs=0.01)
    assert seed_spread([[plan.moments(values[:1])] for values in study]) is None


@pytest.mark.parametrize(
    ("values", "says"),
    [([0, 1], "shape"), ([[0, 2], [0, 1]], r"outside \[0, 1\]"), ([[0, np.nan], [0, 1]], "not finite")],
)
def test_what_cannot_be_averaged_is_refused(values: object, says: str) -> None:
    with pytest.raises(InputError, match=says):
        crossed_mean(values)  # type: ignore[arg-type]


def test_new_categories_need_categories() -> None:
    with pytest.raises(InputError, match="at least two categories"):
        design(100, "sampled")
