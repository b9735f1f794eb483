"""One condition minus another: exact for one seed, borrowed seed variance for several, always a p value."""

from __future__ import annotations

import math

import numpy as np
import pytest

from puretune.errors import InputError
from puretune.statistics import (
    Interval,
    bounded_difference,
    conclusion,
    crossed_difference,
    design,
    mcnemar,
    paired_difference,
    prompts_of,
    seed_spread,
)
from tests.statistics.test_crossed import rows


def test_one_seed_is_mcnemar_and_tango_for_these_two_models() -> None:
    first, second = rows(12), rows(3)
    found = crossed_difference(first, second)
    assert found.p == mcnemar(first[0], second[0]).p
    assert found.estimate.interval == paired_difference(first[0], second[0]).interval
    assert found.estimate.estimand == "these two models and new prompts from the same source"


def test_seeds_are_paired_and_agree_with_t_where_prompts_say_nothing_new() -> None:
    rng = np.random.default_rng(0)
    first = (rng.random((8, 4000)) < rng.normal(0.4, 0.08, (8, 1))).astype(float)
    second = (rng.random((8, 4000)) < rng.normal(0.3, 0.08, (8, 1))).astype(float)
    found = crossed_difference(first, second)
    difference = first.mean(axis=1) - second.mean(axis=1)
    plain = difference.std(ddof=1) / math.sqrt(8)
    assert found.estimate.value == pytest.approx(difference.mean())
    assert plain < found.standard_error < 1.1 * plain


@pytest.mark.parametrize("seeds", [1, 3])
def test_equal_differences_have_a_p_value_and_a_width(seeds: int) -> None:
    same = crossed_difference(rows(*[20] * seeds), rows(*[20] * seeds))
    assert same.p == 1.0
    assert same.estimate.low < 0 < same.estimate.high
    other = crossed_difference(rows(*[40] * seeds), rows(*[0] * seeds))
    assert other.p < 1e-9
    assert other.estimate.low < 0.4 < other.estimate.high


def test_one_unparsed_verdict_does_not_take_the_p_value_away() -> None:
    first, second = rows(40), rows(0)
    assert crossed_difference(first, second).p == pytest.approx(1.8e-12, rel=0.1)
    first[0, 0] = np.nan
    found = bounded_difference(first, second, prompts_of(range(100)))
    assert found.p == pytest.approx(mcnemar(np.nan_to_num(first[0]), second[0]).p)
    assert found.interval.low < crossed_difference(np.nan_to_num(first), second).estimate.value


def test_missing_verdicts_that_could_turn_the_sign_leave_p_at_one() -> None:
    first, second = rows(12), rows(10)
    first[0, :8] = np.nan
    assert bounded_difference(first, second, prompts_of(range(100))).p == 1.0


def test_borrowed_seed_variance_finds_the_published_effect_and_does_not_invent_one() -> None:
    plan, rng = design([f"c{n % 4}" for n in range(100)]), np.random.default_rng(7)

    def runs(rate: float, sd: float) -> np.ndarray:
        chance = np.clip(rng.normal(rate, sd, (3, 1)), 0, 1)
        return (rng.random((3, 100)) < chance).astype(float)

    def rejected(first: tuple[float, float], second: tuple[float, float]) -> float:
        count = 0
        for _ in range(200):
            held = [runs(*one) for one in (first, second, (0.11, 0.03), (0.05, 0.02), (0.03, 0.01))]
            spread = seed_spread([[plan.moments(values)] for values in held])
            count += crossed_difference(held[0], held[1], plan, spread=spread).p < 0.05
        return count / 200

    assert rejected((0.18, 0.04), (0.01, 0.005)) >= 0.9
    assert rejected((0.18, 0.05), (0.18, 0.05)) <= 0.08  # three standard errors above 5 %


def test_a_side_that_was_not_tuned_has_no_seeds_to_vary() -> None:
    tuned, base = rows(20, 30, 40, shift=17), np.repeat(rows(10), 3, axis=0)
    assert crossed_difference(tuned, base, tuned=1).seed_variance > 0
    with pytest.raises(InputError, match="shape"):
        crossed_difference(tuned, rows(10))


def test_an_assumed_seed_sd_counts_for_both_sides() -> None:
    plain, assumed = (crossed_difference(rows(12), rows(3), seed_sd=sd) for sd in (None, 0.05))
    assert assumed.standard_error == pytest.approx(math.hypot(plain.standard_error, 0.05 * math.sqrt(2)))
    assert assumed.p > plain.p
    assert "their spread assumed" in assumed.estimate.estimand


@pytest.mark.parametrize(
    ("outer", "inner", "says"),
    [
        ((-0.2, -0.1), (-0.19, -0.11), "lower"),
        ((0.01, 0.2), (0.02, 0.19), "higher"),
        ((-0.05, 0.04), (-0.045, 0.035), "equivalent"),
        ((0.01, 0.04), (0.012, 0.035), "equivalent"),
        ((-0.1, 0.04), (-0.09, 0.03), "inconclusive"),
    ],
)
def test_conclusions_follow_the_intervals(
    outer: tuple[float, float], inner: tuple[float, float], says: str
) -> None:
    assert conclusion(Interval(*outer), Interval(*inner), 0.05) == says


def test_a_margin_must_be_a_share() -> None:
    with pytest.raises(InputError, match="margin is 5"):
        conclusion(Interval(0, 0.1), Interval(0, 0.1), 5)
