"""``puretune chat``, ``doctor`` and ``serve``: what people see, and what never reaches their terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from puretune.cli.chat import chat
from puretune.cli.doctor import doctor
from puretune.cli.serve import serve
from puretune.deploy import export, measured
from puretune.errors import EnvironmentFault, InputError
from puretune.study import Study, run_study
from tests.study.studies import small_model, small_study


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("chat")
    study = small_study(
        directory / "study", small_model(directory), train=None, test=None, pairs=["CV -> CL"]
    )
    run_study(Study.load(study), directory / "run")
    return export(measured(directory / "run", "CV", "CL"), directory / "ship").path


def test_conditions_answer_the_same_questions(shipped: Path) -> None:
    typed = "How many?\n/reset\n\x1b[31mHow many?\n/quit\nnever\n"
    done = CliRunner().invoke(chat, [str(shipped), "--untuned", "--max-tokens", "4"], input=typed)
    assert done.exception is None, done.output
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines if ":" in line][:2] == ["ship", "untuned"]
    assert "\x1b" not in done.output


def test_a_refusal_of_the_template_is_an_answer(shipped: Path) -> None:
    done = CliRunner().invoke(chat, [str(shipped), "--ask", "x" * 3000, "--max-tokens", "4"])
    assert "ship: refused: " in done.stdout
    assert "do not fit into the context" in done.stdout


def test_doctor_tells_what_is_missing_and_how_to_add_it(tmp_path: Path) -> None:
    said = CliRunner().invoke(doctor, ["--offline"]).stdout
    assert "device: " in said
    told = json.loads(CliRunner().invoke(doctor, ["--offline", "--json"]).stdout)
    extras = {one["name"]: one for one in told["extras"]}
    assert extras["data"]["missing"] == []
    assert all(bool(one["missing"]) == bool(one["add"]) for one in extras.values())


def test_doctor_says_whether_the_hub_and_a_judge_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    file = tmp_path / "judge.yaml"
    file.write_text("judge: openai\nmodel: m\nbase_url: http://127.0.0.1:9/v1\n")
    told = json.loads(CliRunner().invoke(doctor, ["--json", "--judge", str(file)]).stdout)
    assert [one["ok"] for one in told["answers"]] == [False, False]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "not asked" in CliRunner().invoke(doctor, []).stdout


def test_serving_to_others_needs_a_key(shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = CliRunner().invoke(serve, [str(shipped), "--host", "0.0.0.0"])
    assert isinstance(done.exception, InputError)
    done = CliRunner().invoke(serve, [str(shipped), "--api-key-env", "NO_SUCH_KEY"])
    assert isinstance(done.exception, EnvironmentFault)
    done = CliRunner().invoke(serve, [str(shipped), "--upstream-model", "x"])
    assert "NAME=THEIRS" in str(done.exception)
    monkeypatch.setattr("puretune.cli.serve.find_spec", lambda name: None)
    done = CliRunner().invoke(serve, [str(shipped)])
    assert "pip install 'puretune[serve]'" in str(done.exception)
