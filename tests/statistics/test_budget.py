"""Betting and the judge budget: exact bounds against brute force, validity for any cheap judge, stopping."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from puretune.errors import InputError
from puretune.statistics import (
    betting_interval,
    budgeted_estimate,
    clopper_pearson,
    plan_sample,
    stop_at,
    with_unparsed,
)
from puretune.statistics._budget import _walk, bets_on_plan
from puretune.statistics._hypergeometric import few_or_fewer, most_successes

strata = st.integers(1, 20).flatmap(
    lambda size: st.integers(0, size).flatmap(
        lambda drawn: st.tuples(st.integers(0, drawn), st.just(drawn), st.just(size))
    )
)


def judged(rng: np.random.Generator, n: int, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """True verdicts, and those of a cheap judge with sensitivity 0.8 and specificity 0.95."""
    truth = (rng.random(n) < rate).astype(float)
    return truth, (rng.random(n) < np.where(truth == 1, 0.8, 0.05)).astype(float)


# --- Exact bounds ------------------------------------------------------------------------------------------


@given(strata)
def test_chances_of_few_successes_are_hypergeometric(stratum: tuple[int, int, int]) -> None:
    k, drawn, size = stratum
    expected = stats.hypergeom.cdf(k, size, np.arange(size + 1), drawn)
    assert few_or_fewer(*stratum) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(strata, strata)
def test_the_bound_over_two_strata_is_the_largest_total_with_an_accepted_split(
    first: tuple[int, int, int], second: tuple[int, int, int]
) -> None:
    one, two = few_or_fewer(*first), few_or_fewer(*second)
    accepted = [
        i + j
        for i, p in enumerate(one)
        for j, q in enumerate(two)
        if p * q > 0 and stats.chi2.sf(-2 * math.log(p * q), 4) > 0.025
    ]
    assert most_successes([first, second], 0.025) == max(accepted)


# --- Betting -----------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(0, 30))
def test_betting_holds_its_value_and_stays_in_0_to_1(values: list[float], more: int) -> None:
    for population in (None, len(values) + more):
        result = betting_interval(values, population)
        assert 0 <= result.low <= result.value <= result.high <= 1


def test_betting_on_everything_leaves_no_doubt() -> None:
    values = np.random.default_rng(0).random(60)
    result = betting_interval(values, 60)
    assert result.interval == pytest.approx((values.mean(), values.mean()))
    assert result.estimand == "these answers"


def test_a_sample_from_few_answers_says_more_than_one_from_many() -> None:
    values = (np.random.default_rng(0).random(100) < 0.1).astype(float)
    few, many, new = (betting_interval(values, size) for size in (150, 10_000, None))
    assert few.half_width < many.half_width <= new.half_width + 1e-3
    assert new.estimand == "new prompts from the same source"


def test_betting_near_zero_is_about_as_short_as_the_exact_interval() -> None:
    nothing = betting_interval(np.zeros(300))
    assert nothing.low == 0
    assert clopper_pearson(0, 300).high <= nothing.high < 1.5 * clopper_pearson(0, 300).high


def test_betting_intervals_only_shrink_while_labels_come_in() -> None:
    values = (np.random.default_rng(3).random(120) < 0.3).astype(float)
    path = [betting_interval(values[:n], 400, horizon=120) for n in (10, 40, 80, 120)]
    for before, after in pairwise(path):
        assert before.low - 1e-6 <= after.low
        assert after.high <= before.high + 1e-6


@pytest.mark.parametrize("rate", [0.02, 0.2])
def test_betting_covers_at_every_sample_size_at_once(rate: float) -> None:
    rng = np.random.default_rng(7)
    population = np.zeros(300)
    population[: round(300 * rate)] = 1
    held = 0
    for _ in range(150):
        result = betting_interval(rng.permutation(population)[:90], 300)
        held += result.low <= population.mean() <= result.high
    assert held >= 141


# --- The budget --------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=40), st.integers(0, 5))
def test_a_plan_orders_every_answer_once_and_cuts_between_scores(scores: list[float], seed: int) -> None:
    plan = plan_sample(scores, 1, seed)
    assert sorted(plan.order) == list(range(len(scores)))
    lower, upper = (plan.cheap[plan.strata == h] for h in (0, 1))
    assert len(upper) == 0 or lower.max() < upper.min()
    assert plan.shares.sum() == pytest.approx(1)
    assert (plan.order == plan_sample(scores, 1, seed).order).all()


def test_flagged_answers_are_judged_more_often_than_their_share() -> None:
    cheap = np.repeat([0.0, 1.0], [900, 100])
    chosen = plan_sample(cheap, 200, 0).chosen
    assert cheap[chosen].mean() > 0.15


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.0, 0.25, 1.0])),
        min_size=1,
        max_size=30,
    ),
    st.booleans(),
    st.integers(0, 3),
)
def test_judging_everything_gives_the_mean_without_doubt(
    answers: list[tuple[float, float]], anytime: bool, seed: int
) -> None:
    cheap, truth = np.array(answers).T
    plan = plan_sample(cheap, len(cheap), seed)
    result = budgeted_estimate(plan, truth[plan.order], anytime=anytime)
    assert result.interval == pytest.approx((truth.mean(), truth.mean()))
    assert result.value == pytest.approx(truth.mean())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 0.5), st.booleans())
def test_the_value_lies_in_its_interval_for_any_number_of_labels(
    seed: int, rate: float, anytime: bool
) -> None:
    rng = np.random.default_rng(seed)
    truth, cheap = judged(rng, 60, rate)
    plan = plan_sample(cheap, 20, seed)
    count = int(rng.integers(1, 61))
    result = budgeted_estimate(plan, truth[plan.order[:count]], anytime=anytime)
    assert 0 <= result.low <= result.value <= result.high <= 1
    assert result.estimand == "these answers"


@pytest.mark.parametrize("anytime", [False, True])
@pytest.mark.parametrize("lies", [False, True])
def test_the_budgeted_interval_covers_even_when_the_cheap_judge_lies(anytime: bool, lies: bool) -> None:
    rng = np.random.default_rng(11)
    held = 0
    for seed in range(120):
        truth, cheap = judged(rng, 300, 0.08)
        plan = plan_sample(1 - cheap if lies else cheap, 75, seed)
        result = budgeted_estimate(plan, truth[plan.chosen], anytime=anytime)
        held += result.low <= truth.mean() <= result.high
    assert held >= 113


def test_the_difference_estimator_is_unbiased_and_uses_the_cheap_score() -> None:
    rng = np.random.default_rng(4)
    cheap = rng.random(200)
    truth = np.clip(0.8 * cheap + rng.normal(0, 0.03, 200), 0, 1)
    errors = []
    for seed in range(150):
        plan = plan_sample(cheap, 50, seed)
        errors.append(budgeted_estimate(plan, truth[plan.chosen]).value - truth.mean())
    # A plain mean of 50 of these would err by 0.028; the mean of 150 errors, by a twelfth of one.
    assert np.std(errors) < 0.015
    assert abs(np.mean(errors)) < 4 * np.std(errors) / math.sqrt(150)


def test_capital_against_the_truth_is_a_fair_game() -> None:
    # After two labels the expected capital of a bettor against the truth is what it was: 1, over all orders.
    rng = np.random.default_rng(9)
    truth, cheap = judged(rng, 12, 0.4)
    capitals = []
    for seed in range(1500):
        plan = plan_sample(cheap, 2, seed)
        labels = truth[plan.order[:2]]
        bets = bets_on_plan(plan, labels, _walk(plan, labels), 0.5)
        capitals.append(math.exp(bets.wealth_against_low(float(truth.mean()))[-1]))
    assert np.mean(capitals) == pytest.approx(1, abs=4 * np.std(capitals) / math.sqrt(1500))


def test_stopping_asks_for_no_more_labels_than_the_half_width_needs() -> None:
    truth, cheap = judged(np.random.default_rng(2), 1000, 0.05)
    plan = plan_sample(cheap, 250, 0)
    counts = list(range(20, 1001, 20))
    stopped = next(n for n in counts if stop_at(plan, truth[plan.order[:n]], 0.03))
    assert stopped <= 350
    result = budgeted_estimate(plan, truth[plan.order[:stopped]], anytime=True)
    assert result.half_width <= 0.03
    assert stop_at(plan, truth[plan.order[: stopped + 40]], 0.03)


def test_unparsed_expensive_verdicts_widen_the_budgeted_interval() -> None:
    truth, cheap = judged(np.random.default_rng(2), 300, 0.05)
    plan = plan_sample(cheap, 100, 0)
    labels = truth[plan.chosen]
    known = budgeted_estimate(plan, labels)
    labels[:5] = np.nan
    bounds = with_unparsed(labels, lambda filled: budgeted_estimate(plan, filled))
    assert bounds.low <= known.low < known.high <= bounds.high
    assert bounds.unparsed == 5


def test_bad_budgets_labels_and_scores_are_refused() -> None:
    plan = plan_sample([0.0, 1.0, 0.0], 2, 0)
    for call in (
        lambda: plan_sample([0.0, 1.0], 3, 0),
        lambda: plan_sample([0.0, 1.0], 0, 0),
        lambda: plan_sample([0.0, 5.0], 1, 0),
        lambda: plan_sample([], 1, 0),
        lambda: budgeted_estimate(plan, []),
        lambda: budgeted_estimate(plan, [0, 0, 0, 0]),
        lambda: budgeted_estimate(plan, [5.0]),
        lambda: budgeted_estimate(plan, [0.0], confidence=95),
        lambda: stop_at(plan, [0.0], 3.0),
        lambda: betting_interval([2.0]),
        lambda: betting_interval([0.0, 1.0], 1),
    ):
        with pytest.raises(InputError):
            call()
