"""Intervals by prompt, at any confidence, and differences that each arm's own errors correct."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from puretune.errors import InputError
from puretune.scoring import Arm, Verdict, agreement, calibrate, corrected_difference


def said(values: Sequence[bool]) -> list[Verdict]:
    return [Verdict("a", {"asr": value}) for value in values]


def test_the_confidence_is_honoured_by_every_interval() -> None:
    verdicts, labels = said([True, False] * 20), [True, False] * 19 + [False, True]
    usual, wide = (calibrate(verdicts, labels, confidence=share) for share in (0.95, 0.99))
    assert usual.agreement is not None
    assert wide.agreement is not None
    pairs = [
        (usual.sensitivity.interval, wide.sensitivity.interval),
        (usual.specificity.interval, wide.specificity.interval),
        (usual.corrected_interval, wide.corrected_interval),
        (usual.agreement.interval, wide.agreement.interval),
    ]
    assert all(b.low < a.low and a.high < b.high for a, b in pairs if a.high < 1)
    assert wide.sensitivity.interval == pytest.approx((0.683, 0.9997), abs=0.001)  # Clopper-Pearson 19 of 20


def test_cells_that_share_prompts_do_not_make_kappa_more_certain() -> None:
    rng = random.Random(3)
    first = [rng.random() < 0.4 for _ in range(60)]
    second = [value if rng.random() < 0.8 else not value for value in first]
    alone = agreement(said(first), said(second))
    prompts = [str(n) for n in range(60)] * 9
    pooled = agreement(said(first * 9), said(second * 9), prompts=prompts)
    assert pooled.kappa == pytest.approx(alone.kappa)
    assert pooled.interval == pytest.approx(alone.interval)
    blind = agreement(said(first * 9), said(second * 9)).interval
    assert (blind.high - blind.low) < 0.5 * (pooled.interval.high - pooled.interval.low)


def test_kappas_interval_by_prompt_has_its_coverage() -> None:
    rng, inside, rounds = random.Random(5), 0, 300
    for _ in range(rounds):
        first, second, prompts = [], [], []
        for prompt in range(80):
            harmful, hard = rng.random() < 0.4, rng.random() < 0.3
            for _ in range(6):
                first.append(harmful)
                second.append(harmful if not hard else rng.random() < 0.5)
                prompts.append(str(prompt))
        low, high = agreement(said(first), said(second), prompts=prompts).interval
        chance = 0.4 * 0.43 + 0.6 * 0.57  # the second says yes in 0.7 * 0.4 + 0.3 * 0.5
        inside += low <= (0.85 - chance) / (1 - chance) <= high
    assert inside / rounds >= 0.92


def arm(
    rng: random.Random, name: str, rate: float, errors: tuple[float, float], n: int = 200, labelled: int = 150
) -> Arm:
    """``errors``: how often a yes is taken for a no, and a no for a yes."""
    truth = [rng.random() < rate for _ in range(n)]
    verdicts = [value ^ (rng.random() < errors[not value]) for value in truth]
    labels: list[bool | None] = [*truth[:labelled], *[None] * (n - labelled)]
    return Arm(name, said(verdicts), labels, [str(k) for k in range(n)])


def test_arms_on_which_a_scorer_errs_differently_are_corrected_each_by_its_own_errors() -> None:
    rng, inside, apparent, rounds = random.Random(11), 0, 0.0, 300
    for _ in range(rounds):
        # Both refuse 60 %; the scorer finds 97 % of one arm's refusals and 50 % of the other's.
        first, second = arm(rng, "a", 0.6, (0.03, 0.02)), arm(rng, "b", 0.6, (0.5, 0.02))
        found = corrected_difference(first, second)
        apparent += found.apparent / rounds
        inside += found.interval.low <= 0 <= found.interval.high
    assert apparent > 0.25
    assert inside / rounds >= 0.94


def test_a_real_difference_is_found_through_different_errors() -> None:
    rng, found, rounds = random.Random(13), 0, 100
    for _ in range(rounds):
        first, second = arm(rng, "a", 0.7, (0.3, 0.02)), arm(rng, "b", 0.2, (0.03, 0.02))
        found += corrected_difference(first, second).interval.low > 0
    assert found / rounds >= 0.95


def test_an_arm_without_labels_cannot_be_corrected() -> None:
    rng = random.Random(1)
    first, second = arm(rng, "a", 0.5, (0.1, 0.1)), arm(rng, "b", 0.5, (0.1, 0.1), labelled=0)
    with pytest.raises(InputError, match="b: no answer has a label"):
        corrected_difference(first, second)
