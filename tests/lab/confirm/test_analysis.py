"""The analysis, on simulated results whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from puretune.errors import CheckFailed, InputError
from puretune.lab.confirm import (
    Frozen,
    attempts,
    findings,
    load_frozen,
    load_result,
    median_seed,
    result,
    result_text,
    summary,
)
from puretune.statistics import t_interval
from tests.lab.confirm.simulated import ARM, harmful, unit, whole_units


def frozen_with(claims: list[dict[str, Any]]) -> Frozen:
    real = load_frozen(attempts()[1])
    return Frozen(real.attempt, real.recipe, tuple(claims))


EFFECT = {
    "id": "effect",
    "arms": [ARM],
    "measure": "asr",
    "cells": ["CL -> CL minus CV -> CL"],
    "demand": {"mean_at_least": 0.15, "interval_above": 0.05, "positive_share": 0.9},
}


BOUNDED = {**EFFECT, "demand": {"interval_above": 0.05, "interval_below": 0.5, "sign_flips_below": 0.05}}


@pytest.mark.parametrize(
    ("differences", "missed"),
    [
        ([0.30] * 5 + [0.34] * 5, set()),
        ([0.50] * 5 + [0.54] * 5, {"interval_below"}),
        ([0.90, 0.80, 0.0, 0.0, 0.0, 0.0], {"interval_above", "interval_below", "sign_flips_below"}),
        ([0.30] * 3 + [0.34] * 2, {"sign_flips_below"}),
        ([-0.30] * 5 + [-0.34] * 5, {"interval_above", "sign_flips_below"}),
    ],
)
def test_demands_on_interval_ends_and_on_sign_flips(differences: list[float], missed: set[str]) -> None:
    units = [unit(i, harmful(CL_CL=[max(0.0, d)], CV_CL=[max(0.0, -d)])) for i, d in enumerate(differences)]
    (found,) = findings(frozen_with([BOUNDED]), units)
    assert {demand for demand, met in found.checks.items() if not met} == missed


def test_a_model_seed_counts_once_however_many_tuning_seeds_it_has() -> None:
    few = [unit(i, harmful(CL_CL=[share])) for i, share in enumerate((0.2, 0.3, 0.6))]
    many = [unit(i, harmful(CL_CL=[share] * 30)) for i, share in enumerate((0.2, 0.3, 0.6))]
    one, other = (summary(units, ARM, "asr", "CL -> CL") for units in (few, many))
    assert one == other
    assert one.values == (0.2, 0.3, 0.6)
    assert (one.low, one.high) == tuple(t_interval([0.2, 0.3, 0.6]))


def test_the_median_seed_is_the_upper_median_of_the_effect() -> None:
    shares = (0.2, 0.9, 0.4, 0.0)
    units = [unit(i, harmful(CL_CL=[share], CV_CL=[0.0])) for i, share in enumerate(shares)]
    named = [{**one, "model_seed": 100 + one["index"]} for one in units]
    assert median_seed(named) == 102
    assert median_seed(named[:3]) == 102
    with pytest.raises(InputError, match="no results of arm"):
        median_seed([])


def test_tuning_seeds_are_averaged_and_differences_are_within_a_model_seed() -> None:
    units = [
        unit(0, harmful(CL_CL=[0.2, 0.4], CV_CL=[0.1, 0.1])),
        unit(1, harmful(CL_CL=[0.9, 0.7], CV_CL=[0.6, 0.6])),
    ]
    assert summary(units, ARM, "asr", "CL -> CL minus CV -> CL").values == pytest.approx((0.2, 0.2))


def test_non_refusal_counts_incoherent_answers_and_asr_does_not() -> None:
    units = [unit(i, harmful(CL_CL=[0.5])) for i in range(2)]
    assert summary(units, ARM, "asr", "CL -> CL").mean == pytest.approx(0.5)
    assert summary(units, ARM, "non-refusal", "CL -> CL").mean == pytest.approx(0.55)
    assert summary(units, ARM, "incoherent", "CL -> CL").mean == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("differences", "missed"),
    [
        ([0.30] * 5 + [0.34] * 5, set()),
        ([0.10] * 5 + [0.14] * 5, {"mean_at_least"}),
        ([0.0, 0.0, 1.0, 0.9] + [0.05] * 6, {"interval_above", "positive_share"}),
        ([0.30] * 8 + [-0.01] * 2, {"positive_share"}),
        ([-0.30] * 5 + [-0.34] * 5, {"mean_at_least", "interval_above", "positive_share"}),
    ],
)
def test_the_effect_holds_only_where_every_demand_is_met(differences: list[float], missed: set[str]) -> None:
    units = [unit(i, harmful(CL_CL=[max(0.0, d)], CV_CL=[max(0.0, -d)])) for i, d in enumerate(differences)]
    (found,) = findings(frozen_with([EFFECT]), units)
    assert {demand for demand, met in found.checks.items() if not met} == missed
    assert found.holds == (not missed)


def test_equivalence_needs_means_within_the_margin_and_little_spread() -> None:
    claim = {
        "id": "as helpful",
        "arms": [ARM],
        "measure": "helpfulness",
        "cells": ["CV -> CL minus CL -> CL"],
        "demand": {"equivalent_within": 0.05},
    }

    def holds(differences: Sequence[float]) -> bool:
        units = [
            unit(i, {("CV -> CL", "lab-maths"): [0.7 + d], ("CL -> CL", "lab-maths"): [0.7]})
            for i, d in enumerate(differences)
        ]
        (found,) = findings(frozen_with([claim]), units)
        return found.holds

    assert holds([-0.01, 0.01, 0.0, 0.02, -0.02])
    assert not holds([-0.06, -0.05, -0.07, -0.06, -0.05])
    assert not holds([-0.2, 0.2, 0.1, -0.1, 0.0])


def test_the_interval_over_model_seeds_covers_a_known_truth() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        seeds = np.clip(0.3 + 0.1 * rng.standard_normal(10), 0, 1)
        tunings = np.clip(seeds[:, None] + 0.05 * rng.standard_normal((10, 3)), 0, 1)
        units = [unit(i, harmful(CL_CL=rng.binomial(120, row) / 120), n=120) for i, row in enumerate(tunings)]
        found = summary(units, ARM, "asr", "CL -> CL")
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.3 <= found.high
    assert 0.92 <= covered / 400 <= 0.98


def test_log_odds_are_means_over_tuning_seeds_too() -> None:
    units = [unit(0, {}, odds=2.0), unit(1, {}, odds=4.0)]
    assert summary(units, ARM, "log-odds", "CV -> CL").mean == 3.0


def test_what_is_not_in_the_results_is_an_error() -> None:
    units = [unit(0, harmful(CL_CL=[0.1]))]
    for arm, measure, cell in (
        ("none", "asr", "CL -> CL"),
        (ARM, "asr", "CV -> CV"),
        (ARM, "harm", "CL -> CL"),
        (ARM, "log-odds", "CA -> CA"),
    ):
        with pytest.raises(InputError):
            summary(units, arm, measure, cell)


def test_one_model_seed_has_no_interval_and_no_verdict_that_needs_one() -> None:
    (found,) = findings(frozen_with([EFFECT]), [unit(0, harmful(CL_CL=[0.9], CV_CL=[0.0]))])
    assert found.low is None
    assert not found.holds


def test_a_result_says_that_it_is_incomplete_and_survives_its_file(tmp_path: Path) -> None:
    frozen = load_frozen(attempts()[1])
    made = result(frozen, whole_units(frozen, 3))
    assert made["complete"] is False
    assert made["model_seeds"][ARM] == {"done": 3, "asked": 10}
    path = tmp_path / "result.json"
    path.write_text(result_text(made))
    again = load_result(path, frozen)
    assert result_text(again) == result_text(made)


def test_a_result_of_changed_claims_is_refused(tmp_path: Path) -> None:
    frozen = load_frozen(attempts()[1])
    path = tmp_path / "result.json"
    path.write_text(result_text(result(frozen, whole_units(frozen, 2))))
    with pytest.raises(CheckFailed, match="another frozen file"):
        load_result(path, frozen_with([EFFECT]))
    path.write_text(path.read_text().replace(str(frozen.model_seed(1)), "7"))
    with pytest.raises(CheckFailed, match="model seed 2"):
        load_result(path, frozen)
    path.write_text("{}")
    with pytest.raises(InputError, match="not a result"):
        load_result(path, frozen)
