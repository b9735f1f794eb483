"""``puretune init`` and ``tune``: what is written, what is said, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from puretune.cli import command
from puretune.errors import InputError
from tests import families
from tests.start.test_draft import rows


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return families.save("qwen2", tmp_path_factory.mktemp("model") / "qwen2")


def test_init_writes_a_study_whose_dry_run_passes(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    study = tmp_path / "study.yaml"
    made = invoke("init", "--model", model, "--data", rows(tmp_path / "my.jsonl"), "--out", study)
    assert made.exit_code == 0, made.output
    assert "60 conversations" in made.stdout
    assert f"Next: puretune run {study} --dry-run" in made.stdout
    assert "says nothing about safety" in made.stderr
    planned = invoke("run", study, "--dry-run", "--out", tmp_path / "run")
    assert planned.exit_code == 0, planned.output
    again = invoke("init", "--model", model, "--data", tmp_path / "my.jsonl", "--out", study)
    assert isinstance(again.exception, InputError)
    assert "--force" in str(again.exception)


def test_tune_counts_tokens_memory_and_writes_nothing_in_a_dry_run(model: Path, tmp_path: Path) -> None:
    data = rows(tmp_path / "my.jsonl")
    shown = invoke("tune", "--model", model, "--data", data, "--out", tmp_path / "run", "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert "tokens to train on" in shown.stdout
    assert "memory, roughly:" in shown.stdout
    assert not (tmp_path / "run").exists()


def test_tune_ends_with_the_command_that_exports_what_it_made(model: Path, tmp_path: Path) -> None:
    data, out = rows(tmp_path / "my.jsonl", count=8), tmp_path / "run"
    made = invoke("tune", "--model", model, "--data", data, "--out", out, "--quiet")
    assert made.exit_code == 0, made.output
    assert f"puretune export {out} --condition plain --serve-as safe" in made.stdout
    shipped = invoke("export", out, "--condition", "plain", "--serve-as", "safe", "--out", tmp_path / "ship")
    assert shipped.exit_code == 0, shipped.output


@pytest.mark.parametrize("name", ["missing.jsonl", "empty.jsonl", "binary.jsonl", "text.txt"])
def test_a_file_that_holds_no_rows_is_named(name: str, model: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "binary.jsonl").write_bytes(bytes(range(256)))
    (tmp_path / "text.txt").write_text("hello")
    for verb in ("init", "tune"):
        made = invoke(verb, "--model", model, "--data", tmp_path / name, "--out", tmp_path / "out")
        assert isinstance(made.exception, InputError), made.output
        assert name in str(made.exception)
