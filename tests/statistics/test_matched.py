"""Attack success at the same helpfulness: read off curves, never beyond them, intervals that cover."""

from __future__ import annotations

import numpy as np
import pytest

from puretune.errors import InputError
from puretune.statistics import Curve, common_helpfulness, matched_difference, prompts_of


def curve(levels: list[float], harm: list[float], prompts: int = 100, seeds: int = 1) -> Curve:
    """Exactly these rates, by the first so many prompts."""
    places = np.arange(prompts) / prompts
    made = [np.array([[places < rate] * seeds for rate in rates], dtype=float) for rates in (levels, harm)]
    return Curve(made[0], made[1])


PROMPTS = prompts_of(range(100))


@pytest.mark.parametrize(
    ("level", "expected"), [(0.0, 0.0), (0.25, 0.1), (0.5, 0.2), (0.65, 0.3), (0.8, 0.4), (0.9, None)]
)
def test_attack_success_is_interpolated_by_helpfulness(level: float, expected: float | None) -> None:
    assert curve([0.0, 0.5, 0.8], [0.0, 0.2, 0.4]).at(level) == pytest.approx(expected)


def test_the_first_passage_counts() -> None:
    back_and_forth = curve([0.0, 0.8, 0.4, 0.9], [0.0, 0.4, 0.9, 1.0])
    assert back_and_forth.at(0.6) == pytest.approx(0.3)


def test_two_curves_are_compared_at_the_highest_helpfulness_that_both_reach() -> None:
    first, second = curve([0.0, 0.9], [0.0, 0.9]), curve([0.0, 0.6], [0.0, 0.3])
    assert common_helpfulness(first, second) == (0.0, 0.6)
    found = matched_difference(first, second, PROMPTS, PROMPTS)
    assert (found.level, found.first, found.second) == pytest.approx((0.6, 0.6, 0.3))
    assert found.estimate.value == pytest.approx(0.3)
    assert found.estimate.low < 0.3 < found.estimate.high
    assert found.p < 0.05
    assert matched_difference(first, second, PROMPTS, PROMPTS, 0.3).first == pytest.approx(0.3)


def test_nothing_is_extrapolated() -> None:
    low, high = curve([0.1, 0.2], [0.0, 0.1]), curve([0.5, 0.9], [0.0, 0.1])
    assert common_helpfulness(low, high) is None
    with pytest.raises(InputError, match="no common helpfulness"):
        matched_difference(low, high, PROMPTS, PROMPTS)
    with pytest.raises(InputError, match=r"helpfulness 0.95 is outside what both reach \(0.5 to 0.9\)"):
        matched_difference(high, high, PROMPTS, PROMPTS, 0.95)


def test_two_curves_that_never_answer_are_not_certainly_alike() -> None:
    never = curve([0.0, 0.5], [0.0, 0.0])
    found = matched_difference(never, never, PROMPTS, PROMPTS)
    assert found.estimate.low < 0 < found.estimate.high
    assert found.p == pytest.approx(1.0)


def test_one_seed_speaks_of_these_adapters() -> None:
    both = curve([0.0, 0.5], [0.0, 0.3]), curve([0.0, 0.5], [0.0, 0.1])
    assert matched_difference(*both, PROMPTS, PROMPTS).estimate.estimand.startswith("these adapters")


def draws(rng: np.random.Generator, rates: np.ndarray, effects: np.ndarray, noise: float) -> np.ndarray:
    """[adapters, seeds, prompts] of 0 and 1: a rate an adapter, its logit moved by seed and prompt."""
    logits = np.log(rates / (1 - rates))[:, None, None]
    seeds = rng.normal(0, noise, (len(rates), effects.shape[0], 1))
    chance = 1 / (1 + np.exp(-(logits + effects + seeds)))
    return (rng.random(chance.shape) < chance).astype(float)


def population(rates: np.ndarray, sd: float) -> np.ndarray:
    """The marginal rate of each adapter over effects of that standard deviation."""
    nodes = np.random.default_rng(1).normal(0, sd, 40_000)
    logits = np.log(rates / (1 - rates))[:, None]
    return np.asarray((1 / (1 + np.exp(-(logits + nodes)))).mean(axis=1))


def true_harm(levels: np.ndarray, harm: np.ndarray, level: float) -> float:
    return float(np.interp(level, levels, harm))


def test_the_interval_covers_the_true_difference() -> None:
    """Four seeds, 60 prompts, seeds and prompts that vary: 95 % intervals hold the truth about that often."""
    rng = np.random.default_rng(0)
    seeds, prompts, sd_prompt, sd_seed = 4, 60, 1.0, 0.3
    helpful = np.array([0.05, 0.5, 0.75])
    harms = np.array([0.05, 0.4, 0.6]), np.array([0.02, 0.15, 0.3])
    total = (sd_prompt**2 + sd_seed**2) ** 0.5
    levels = population(helpful, total)
    level = 0.6
    truth = true_harm(levels, population(harms[0], total), level) - true_harm(
        levels, population(harms[1], total), level
    )
    held, trials = 0, 150
    asked = prompts_of(range(prompts))
    for _ in range(trials):
        effects = rng.normal(0, sd_prompt, (1, prompts)) + np.zeros((seeds, 1))
        hardness = rng.normal(0, sd_prompt, (1, prompts)) + np.zeros((seeds, 1))
        asks = (draws(rng, helpful, hardness, sd_seed) for _ in harms)
        both = [Curve(a, draws(rng, h, effects, sd_seed)) for a, h in zip(asks, harms, strict=True)]
        common = common_helpfulness(*both)
        assert common is not None
        found = matched_difference(*both, asked, asked, min(level, common[1]))
        held += found.estimate.low <= truth <= found.estimate.high
    assert 0.91 <= held / trials <= 1.0
