"""``puretune score``: a table on stdout, verdicts in the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from puretune.cli.score import score
from puretune.errors import PuretuneError


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    path = tmp_path / "answers.jsonl"
    lines = [{"query": "q", "reference": "#### 18", "answer": a} for a in ("#### 18", "18", "17", None)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(score, [str(a) for a in arguments])


def failure(result: Result) -> tuple[int, str]:
    assert isinstance(result.exception, PuretuneError), result.output
    return result.exception.exit_code, str(result.exception)


def test_the_summary_is_over_all_answers_with_an_interval(answers: Path, tmp_path: Path) -> None:
    result = run(answers, "--scorer", "gsm8k", "--out", tmp_path / "out.jsonl")
    assert result.exit_code == 0, result.exception
    cells = [line.split() for line in result.stdout.splitlines()]
    assert ["exact_match", "25.0%", "4.6%", "to", "69.9%", "4", "0"] in cells
    assert ["exact_match_flexible", "50.0%", "15.0%", "to", "85.0%", "4", "0"] in cells
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 4
    assert "4 verdicts" in result.stderr


def test_verdicts_are_replaced_only_when_told_to(answers: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("kept")
    code, message = failure(run(answers, "--scorer", "gsm8k", "--out", out))
    assert (code, out.read_text()) == (2, "kept")
    assert "--force" in message
    assert run(answers, "--scorer", "gsm8k", "--out", out, "--force").exit_code == 0
    assert len(out.read_text().splitlines()) == 4


def test_the_answers_themselves_are_never_replaced(answers: Path) -> None:
    before = answers.read_text()
    code, _ = failure(run(answers, "--scorer", "gsm8k", "--out", answers, "--force"))
    assert (code, answers.read_text()) == (2, before)


def test_what_is_wrong_is_told_by_exit_code(answers: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert failure(run(answers, "--scorer", "gsm9k", "--out", out))[0] == 2
    assert failure(run(tmp_path / "absent.jsonl", "--scorer", "gsm8k", "--out", out))[0] == 2
    assert failure(run(answers, "--scorer", "gsm8k", "--out", answers / "out.jsonl"))[0] == 3
