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
    given = enumerate(("#### 18", "18", "17", None))
    lines = [{"query": f"q{n}", "reference": "#### 18", "answer": a} for n, a in given]
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
    assert ["exact_match", "25.0%", "0.6%", "to", "80.6%", "4", "4", "0"] in cells
    assert ["exact_match_flexible", "50.0%", "6.8%", "to", "93.2%", "4", "4", "0"] in cells
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 4
    assert "4 verdicts" in result.stderr


def test_answers_to_one_query_are_samples_of_one_prompt(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    given = [(f"q{n}", "18" if n < 2 else "17") for n in range(4) for _ in range(5)]
    lines = [{"query": query, "reference": "#### 18", "answer": f"#### {answer}"} for query, answer in given]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = run(path, "--scorer", "gsm8k", "--out", tmp_path / "out.jsonl")
    cells = [line.split() for line in result.stdout.splitlines()]
    assert ["exact_match", "50.0%", "6.8%", "to", "93.2%", "20", "4", "0"] in cells


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
