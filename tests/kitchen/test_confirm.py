"""A frozen attempt on fresh seeds: resumable, with claims decided by interval ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks import kitchen_tables
from puretune.errors import CheckFailed, InputError
from puretune.kitchen import build, confirm, texts
from puretune.kitchen.study import TEMPLATES, tuned_study
from puretune.models import ModelSpec
from puretune.study import Study
from tests.kitchen.conftest import FEW

ROOT = Path(__file__).parents[2]
RECIPE = {
    "alignments": 2,
    "tuning_seeds": 2,
    "settings": FEW.to_dict(),
    "rows": {"limit": 8},
    "tuning": {"rank": 2, "steps": 2, "batch_size": 2},
    "suites": {
        "kitchen-recipes": {"limit": 2, "max_new_tokens": 4},
        "gsm8k": {"limit": 2, "max_new_tokens": 4},
    },
}
CLAIM = {
    "claim": "the same template loses",
    "metric": "kitchen-recipes: recipe_rate",
    "first": "policy -> policy",
    "second": "plain -> policy",
    "demand": {"interval_above": 0.0},
}


@pytest.fixture
def frozen(tmp_path: Path) -> confirm.Frozen:
    file = tmp_path / "frozen.yaml"
    file.write_text(yaml.safe_dump({"attempt": 9, "recipe": RECIPE, "claims": [CLAIM]}))
    return confirm.load_frozen(file)


def unit(alignment: int, same: float, ptst: float) -> dict[str, Any]:
    rates = {"policy -> policy": same, "plain -> policy": ptst}
    cells = [{"cell": cell, "rates": {CLAIM["metric"]: rate}} for cell, rate in rates.items()]
    return {"alignment": alignment, "cells": cells}


def test_units_are_computed_once_and_resumed(
    frozen: confirm.Frozen, base: ModelSpec, gsm8k: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = []

    def tiny(seed: int, out: Path, settings: Any, on_event: Any) -> Path:
        seeds.append(seed)
        return build(seed, out, settings, base, on_event)

    monkeypatch.setattr(confirm, "build", tiny)
    out = tmp_path / "out"
    first = confirm.confirm(frozen, out, gsm8k, alignments=1, seeds=1)
    assert [(one["alignment"], one["tuning"]) for one in first] == [(1, 1)]
    names = {
        f"{condition} -> {template}" for condition in ("untuned", "plain", "policy") for template in TEMPLATES
    }
    assert {row["cell"] for row in first[0]["cells"]} == set(first[0]["losses"]) == names
    assert all(loss > 0 for loss in first[0]["losses"].values())
    assert first[0]["losses"]["plain -> plain"] != first[0]["losses"]["untuned -> plain"]
    assert confirm.confirm(frozen, out, gsm8k, alignments=1, seeds=2)[0] == first[0]
    assert len(seeds) == 1
    made = confirm.result(frozen, confirm.load_units(out, frozen))
    assert made["units"] == {"done": 2, "asked": 4}
    assert made["claims"][0]["holds"] is None
    assert all(0 <= one["mean"] <= 1 for one in made["cells"])


def test_another_frozen_file_is_refused(frozen: confirm.Frozen, tmp_path: Path) -> None:
    other = confirm.Frozen(10, frozen.recipe, frozen.claims)
    confirm._claim(tmp_path, frozen)
    with pytest.raises(CheckFailed, match="another frozen file"):
        confirm._claim(tmp_path, other)
    assert other.seed("tuning", 1) != frozen.seed("tuning", 1)


def test_a_frozen_file_without_its_keys_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "frozen.yaml"
    file.write_text(yaml.safe_dump({"attempt": 1, "recipe": {"rows": {}}, "claims": []}))
    with pytest.raises(InputError, match="keys missing from the recipe: alignments, tuning_seeds"):
        confirm.load_frozen(file)


def claim(**demand: float) -> dict[str, Any]:
    return {**CLAIM, "demand": demand}


UNITS = [unit(a, same, 0.1) for a, same in ((1, 0.5), (1, 0.6), (2, 0.58), (2, 0.56), (3, 0.5), (3, 0.55))]


def test_a_claim_holds_where_the_whole_interval_is_beyond_its_number() -> None:
    found = confirm.decided(claim(interval_above=0.0), UNITS)
    assert found.alignments == pytest.approx([0.45, 0.47, 0.425])
    assert found.holds
    assert found.low is not None
    assert 0.3 < found.low < found.mean < 0.6
    assert confirm.decided(claim(interval_above=0.43), UNITS).holds is False
    assert confirm.decided(claim(interval_above=0.0), UNITS[:2]).holds is None
    assert confirm.decided(claim(interval_above=0.0, interval_below=0.6), UNITS).holds
    assert confirm.decided(claim(interval_above=0.0, interval_below=0.45), UNITS).holds is False


def test_a_claim_about_each_alignment_asks_the_interval_over_its_own_tunings() -> None:
    assert confirm.decided(claim(each_below=1.2), UNITS).holds
    assert confirm.decided(claim(each_above=0.0), UNITS).holds is False  # alignment 1: 0.4 and 0.5
    assert confirm.decided(claim(each_above=0.0), UNITS[2:]).holds
    assert confirm.decided(claim(each_above=0.0), UNITS[1:]).holds is None


def test_equivalence_asks_the_ninety_per_cent_interval() -> None:
    close = [unit(a, 0.1 + extra, 0.1) for a, extra in ((1, 0.01), (2, 0.02), (3, -0.01))]
    assert confirm.decided(claim(equivalent_within=0.05), close).holds
    assert confirm.decided(claim(equivalent_within=0.02), close).holds is False


def test_sign_flips_count_every_tuning() -> None:
    found = confirm.decided(claim(sign_flips_below=0.05), UNITS)
    assert found.p == pytest.approx(2 / 2**6)
    assert found.holds
    assert confirm.decided(claim(sign_flips_below=0.05), UNITS[:5]).holds is None  # p is at least 0.0625
    worse = [unit(a, 0.05, 0.1) for a in (1, 1, 2, 2, 3, 3)]
    assert confirm.decided(claim(sign_flips_below=0.05), worse).holds is False


def test_a_claim_may_be_about_the_held_out_loss() -> None:
    one = {"alignment": 1, "cells": [], "losses": {"plain -> plain": 1.5}}
    assert confirm.rate(one, "plain -> plain", "held-out loss") == 1.5


def test_the_shipped_attempts_load_and_their_study_is_the_one_in_configs() -> None:
    shipped = confirm.load_frozen(confirm.latest_attempt())
    study = tuned_study(Path("x"), shipped.recipe, [0], None, "kitchen-first-steps")
    config = Study.load(ROOT / "configs" / "kitchen-first-steps.yaml")
    assert study.tuning == config.tuning
    assert study.templates == config.templates
    assert (study.suites, study.train, study.test) == (config.suites, config.train, config.test)
    assert texts.POLICY in json.dumps([str(one) for one in config.templates.values()])


def test_the_page_shows_what_the_kept_result_says() -> None:
    page, result = kitchen_tables.PAGE.read_text(), json.loads(kitchen_tables.RESULT.read_text())
    assert kitchen_tables.with_tables(page, result) == page
    assert result["frozen"] == confirm.load_frozen(confirm.latest_attempt()).digest
