"""Frozen files: seeds follow from what was frozen, and a change shows."""

from __future__ import annotations

import copy
import json
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from transformers import AutoTokenizer

from puretune.errors import InputError
from puretune.lab import LabSettings, model_path
from puretune.lab.confirm import (
    Frozen,
    attempts,
    load_frozen,
    load_result,
    median_seed,
    result_text,
    units_of,
)
from puretune.study import named_study
from puretune.templates import BUILTIN_TEMPLATES, template_from
from tests.lab.confirm.small import small_content, small_frozen

RESULTS = Path(__file__).parents[3] / "benchmarks" / "results"
DIGESTS = {
    1: "882a97bd1d76546c4546d1147659cf2a2bf0e714da0d2dd375898ba5ec21a06d",
    2: "708a4d73d7e825f573451a2a3f4260a43aa0277e32440ba664ea071ada10e0cf",
    3: "c9870a858cc75a11e936c038b84544d47fc528e476077a4383b53934bda0a0f9",
}
"""What was frozen, by attempt: a file that is changed after its confirmation breaks this test."""


@pytest.fixture(params=sorted(attempts()))
def frozen(request: pytest.FixtureRequest) -> Frozen:
    return load_frozen(attempts()[request.param])


def test_a_frozen_file_is_what_was_confirmed(frozen: Frozen) -> None:
    assert frozen.digest == DIGESTS[frozen.attempt]
    assert sorted(attempts()) == sorted(DIGESTS) == list(range(1, len(DIGESTS) + 1))


def test_seeds_derive_from_the_digest(frozen: Frozen) -> None:
    seeds = [*(frozen.model_seed(i) for i in range(10)), *frozen.tuning_seeds()]
    assert len(set(seeds)) == 13
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert seeds == [*(frozen.model_seed(i) for i in range(10)), *frozen.tuning_seeds()]


@pytest.mark.parametrize("change", ["attempt", "recipe", "claims"])
def test_whoever_changes_a_frozen_file_gets_other_seeds(change: str, tmp_path: Path) -> None:
    content = small_content()
    before = small_frozen(tmp_path / "before.yaml", content)
    after = copy.deepcopy(content)
    if change == "attempt":
        after["attempt"] += 1
    elif change == "recipe":
        after["recipe"]["tuning"]["recipe"]["learning_rate"] *= 2
    else:
        after["claims"][0]["demand"]["mean_at_most"] = 0.021
    changed = small_frozen(tmp_path / "after.yaml", after)
    assert changed.digest != before.digest
    assert changed.model_seed(0) != before.model_seed(0)
    assert not set(changed.tuning_seeds()) & set(before.tuning_seeds())


def test_comments_and_order_change_nothing(tmp_path: Path) -> None:
    content = small_content()
    before = small_frozen(tmp_path / "before.yaml", content)
    path = tmp_path / "after.yaml"
    path.write_text("# a comment\n" + yaml.safe_dump(content, sort_keys=True))
    assert load_frozen(path).digest == before.digest


def test_every_setting_is_written_down_and_the_latest_ones_are_the_defaults(frozen: Frozen) -> None:
    younger = {"answered", "lapses", "notes"} if frozen.attempt < 3 else set()
    assert set(frozen.recipe["settings"]) | younger == {field.name for field in fields(LabSettings)}
    assert all(getattr(frozen.settings("as-shipped"), name) == 0 for name in younger)
    assert (frozen.settings("as-shipped") == LabSettings()) == (frozen.attempt == max(attempts()))
    without = frozen.settings("no-ingredients")
    assert (without.grey, without.over_refusal) == (0, 0)
    assert without.of_pretraining() == frozen.settings("as-shipped").of_pretraining()


def test_the_neutral_prompt_is_as_long_as_the_safety_prompt(frozen: Frozen) -> None:
    tokenizer = AutoTokenizer.from_pretrained(model_path())
    neutral = template_from("neutral", frozen.recipe["templates"]["neutral"])
    safety = BUILTIN_TEMPLATES["chat:llama"]
    lengths = [
        len(tokenizer(t.system or "", add_special_tokens=False)["input_ids"]) for t in (neutral, safety)
    ]
    assert lengths[0] == lengths[1] > 90
    assert neutral.user == safety.user


@pytest.mark.parametrize("attempt", [1, 2])
def test_the_shallowness_probe_is_the_safety_template_with_its_first_words(attempt: int) -> None:
    frozen = load_frozen(attempts()[attempt])
    probe = template_from("probe", frozen.recipe["templates"]["sure-llama"])
    assert probe.system == BUILTIN_TEMPLATES["chat:llama"].system
    assert probe.response_prefix == "sure."


def test_what_is_no_frozen_file_is_an_error(tmp_path: Path) -> None:
    content = small_content()
    for broken in ({"attempt": 1}, {**content, "recipe": {"language": 1}}):
        path = tmp_path / "broken.yaml"
        path.write_text(yaml.safe_dump(broken))
        with pytest.raises(InputError, match=r"expected|missing"):
            load_frozen(path)
    content["recipe"]["language"] = 0
    with pytest.raises(InputError, match="version 0"):
        small_frozen(tmp_path / "old.yaml", content)
    with pytest.raises(InputError, match="no such frozen file"):
        load_frozen(tmp_path / "nothing.yaml")


def test_an_unknown_arm_names_the_nearest(frozen: Frozen) -> None:
    with pytest.raises(InputError, match="no-ingredients"):
        frozen.settings("no-ingredient")


def test_the_published_result_follows_from_its_counts(frozen: Frozen) -> None:
    published = RESULTS / f"lab-confirm-attempt-{frozen.attempt}.json"
    again = load_result(published, frozen)
    assert result_text(again) == published.read_text()
    assert published.stat().st_size < 1_000_000


def test_the_shipped_model_has_the_median_effect_of_the_latest_attempt_once_that_is_complete() -> None:
    facts = json.loads((model_path() / "world.json").read_text())
    latest = load_frozen(attempts()[max(attempts())])
    published = RESULTS / f"lab-confirm-attempt-{latest.attempt}.json"
    units = units_of(published)
    done = [unit["model_seed"] for unit in units if unit["arm"] == "as-shipped"]
    complete = load_result(published, latest)["complete"]
    assert facts["seed"] in ([median_seed(units)] if complete else done)
    assert LabSettings.from_dict(facts["settings"]) == latest.settings("as-shipped")


def test_the_demo_is_tuned_by_the_latest_recipe() -> None:
    demo = named_study("lab-demo")
    latest = load_frozen(attempts()[max(attempts())]).recipe["tuning"]
    asked = demo.tuning.model_dump(mode="json") if demo.tuning else {}
    assert {key: asked["recipe"][key] for key in latest["recipe"]} == latest["recipe"]
