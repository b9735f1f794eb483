"""The confirmation from end to end on two tiny model seeds: its files, its resume, its refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from puretune.cli.lab import lab
from puretune.errors import CheckFailed, InputError
from puretune.lab.confirm import (
    Frozen,
    confirm,
    load_result,
    load_units,
    result,
    result_text,
    units,
    units_of,
)
from puretune.lab.sources import world_of
from tests.lab.confirm.small import small_content, small_frozen


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Frozen:
    return small_frozen(tmp_path_factory.mktemp("frozen") / "attempt.yaml")


@pytest.fixture(scope="module")
def done(frozen: Frozen, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("confirm")
    confirm(frozen, out)
    return out


def test_every_unit_is_there_with_every_cell(frozen: Frozen, done: Path) -> None:
    found = load_units(done, frozen)
    assert [(unit["index"], unit["arm"]) for unit in found] == units(frozen)
    for unit in found:
        rows = unit["cells"]
        assert {row["seed"] for row in rows if row["cell"] == "CL -> CL"} == set(frozen.tuning_seeds())
        assert {row["seed"] for row in rows if row["cell"].startswith("untuned")} == {None}
        assert {"CV -> neutral", "untuned -> TA", "CV -> sure-llama"} <= {row["cell"] for row in rows}
        assert len(unit["log_odds"]) == 2 + 4 * 2


def test_the_arms_of_a_model_seed_share_world_and_pretraining(frozen: Frozen, done: Path) -> None:
    models = [done / "01" / arm for arm in ("as-shipped", "no-ingredients")]
    assert world_of(models[0]) is world_of(models[1])
    assert world_of(models[0]).seed == frozen.model_seed(0)
    facts = [json.loads((model / "world.json").read_text()) for model in models]
    assert facts[0]["stages"]["pretraining"] == facts[1]["stages"]["pretraining"]
    assert facts[0]["stages"]["alignment"] != facts[1]["stages"]["alignment"]
    assert len(list((done / "01" / "pretrained").glob("pretrained-*"))) == 1


def test_a_lost_unit_is_computed_again_and_is_the_same(frozen: Frozen, done: Path) -> None:
    lost, kept = done / "units" / "02-as-shipped.json", done / "units" / "01-as-shipped.json"
    before, stamp = json.loads(lost.read_text()), kept.stat().st_mtime_ns
    lost.unlink()
    confirm(frozen, done)
    after = json.loads(lost.read_text())
    assert {**after, "seconds": 0} == {**before, "seconds": 0}
    assert kept.stat().st_mtime_ns == stamp


def test_results_of_two_frozen_files_are_never_mixed(done: Path, tmp_path: Path) -> None:
    content = small_content()
    content["claims"][0]["demand"]["mean_at_most"] = 0.5
    changed = small_frozen(tmp_path / "changed.yaml", content)
    with pytest.raises(CheckFailed, match="another frozen file"):
        confirm(changed, done)
    with pytest.raises(CheckFailed, match="new attempt"):
        load_units(done, changed)


def test_the_command_writes_a_result_that_can_be_analysed_again(
    frozen: Frozen, done: Path, tmp_path: Path
) -> None:
    small_frozen(tmp_path / "attempt.yaml")
    options = ["--recipe", str(tmp_path / "attempt.yaml")]
    ran = CliRunner().invoke(lab, ["confirm", *options, "--out", str(done), "--processes", "2"])
    assert ran.exit_code == 0, ran.output
    assert "as-shipped: 2 of 2 model seeds" in ran.output
    made = json.loads((done / "result.json").read_text())
    again = load_result(done / "result.json", frozen)
    assert json.loads(json.dumps(again)) == made
    assert made["complete"] is True
    told = CliRunner().invoke(lab, ["claims", str(done / "result.json"), *options])
    assert told.exit_code == 0, told.output
    assert told.output in ran.output


def test_an_incomplete_result_can_be_completed_elsewhere(frozen: Frozen, done: Path, tmp_path: Path) -> None:
    small_frozen(tmp_path / "attempt.yaml")
    part = result(frozen, load_units(done, frozen)[:3])
    assert part["complete"] is False
    (tmp_path / "part.json").write_text(result_text(part))
    out = tmp_path / "out"
    confirm(frozen, out, ["as-shipped"], earlier=units_of(tmp_path / "part.json"))
    assert load_units(out, frozen) == load_units(done, frozen)[:3]
    assert not (out / "01").exists()


def test_a_part_of_the_arms_is_an_incomplete_result(frozen: Frozen) -> None:
    assert units(frozen, ["no-ingredients"], seeds=1) == [(0, "no-ingredients")]


def test_an_unknown_arm_or_attempt_names_what_there_is() -> None:
    for arguments, said in (
        (["--arms", "no-ingredient"], "no-ingredients"),
        (["--attempt", "99"], "There are"),
    ):
        with pytest.raises(InputError, match=said):
            CliRunner().invoke(lab, ["confirm", *arguments], catch_exceptions=False)
