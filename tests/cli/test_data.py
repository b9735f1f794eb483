"""``puretune data`` on stdout, with its exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from puretune.cli.data import data
from puretune.data import NAMED_SOURCES
from puretune.errors import PuretuneError


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(data, [str(a) for a in arguments])


def failure(result: Result) -> tuple[int, str]:
    assert isinstance(result.exception, PuretuneError), result.output
    return result.exception.exit_code, str(result.exception)


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


GOOD = {"frage": "How [bold]many[/bold]?", "answer": "Two."}


def test_list_shows_every_named_source_with_its_licence() -> None:
    result = run("list")
    for named in NAMED_SOURCES.values():
        assert named.name in result.stdout
        assert named.licence in result.stdout
        assert (named.hub or named.home) in result.stdout


def test_show_prints_examples_as_they_are_on_stdout_and_counts_on_stderr(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", GOOD, GOOD, {**GOOD, "frage": "Who?"})
    result = run("show", path, "--columns", "question=frage", "--limit", 5)
    assert result.exit_code == 0, result.exception
    assert "user: How [bold]many[/bold]?" in result.stdout
    assert "assistant: Two." in result.stdout
    assert "2 of 3 examples; left out: 1 duplicates" in result.stderr


def test_show_cuts_a_file_in_two(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", *({"question": f"Question {i}?"} for i in range(40)))
    seen = [
        run("show", path, "--hold-out", "0.5", "--split", s, "--limit", 99).stdout for s in ("train", "test")
    ]
    for i in range(40):
        assert sum(f"Question {i}?" in side for side in seen) == 1


def test_check_passes_sound_data(tmp_path: Path) -> None:
    result = run("check", write(tmp_path / "mine.jsonl", {"question": "How many?", "answer": "Two."}))
    assert result.exit_code == 0
    assert "usable rows" in result.stdout


def test_check_fails_with_1_and_names_the_rows(tmp_path: Path) -> None:
    result = run("check", write(tmp_path / "mine.jsonl", {"question": "a", "answer": "b"}, {"question": "c"}))
    assert failure(result)[0] == 1
    result = run("check", write(tmp_path / "mine.jsonl", *[{"question": "a", "answer": ""}] * 25))
    assert failure(result)[0] == 1
    assert "mine.jsonl:1: 'answer' is empty" in result.stdout
    assert "the same in 25 rows: 1-25" in result.stdout


def test_check_ends_with_2_on_what_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"question": "a"\n')
    code, message = failure(run("check", path))
    assert code == 2
    assert message.startswith("mine.jsonl:1: not valid JSON")


def test_a_mapping_that_is_no_pair_is_an_error(tmp_path: Path) -> None:
    code, message = failure(run("show", tmp_path / "mine.jsonl", "--columns", "question"))
    assert code == 2
    assert "write CANONICAL=YOURS" in message


def test_names_and_texts_are_printed_as_they_are(tmp_path: Path) -> None:
    row = {"id": "[red]y", "question": "x[/b]\x1b[2J\u202eabc", "answer": "[bold]", "cluster": "a[/b]"}
    shown = run("show", write(tmp_path / "mine.jsonl", row)).stdout
    assert "[red]y" in shown
    assert "(a[/b])" in shown
    assert "x[/b]\\x1b[2J\\u202eabc" in shown
    checked = run("check", write(tmp_path / "mine.jsonl", {**row, "[/b]\x1b": 1})).stdout
    assert "'[/b]" in checked
    assert "\x1b" not in checked


def test_check_names_what_a_run_would_refuse_and_passes(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", {"question": "[INST] a [/INST]", "answer": "b", "label": False})
    result = run("check", path)
    assert result.exit_code == 0
    assert "'label'" in result.stdout
    assert "[INST]" in result.stdout
    settled = run("check", path, "--ignore", "label", "--markup", "keep").stdout
    assert "`puretune run` needs" not in settled


def test_a_file_without_a_header_line_is_read_with_the_option(tmp_path: Path) -> None:
    path = tmp_path / "prompts.csv"
    path.write_text("Name a fern\nName a wren\n")
    code, message = failure(run("check", path))
    assert code == 2
    assert "--no-header" in message
    assert run("check", path, "--no-header").exit_code == 0


def test_a_model_that_is_no_directory_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", {"question": "a", "answer": "b"})
    code, message = failure(run("check", path, "--model", tmp_path / "absent"))
    assert code == 2
    assert "no such directory" in message


def test_check_says_that_a_directory_without_a_tokenizer_checks_no_chat_template(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", {"question": "a", "answer": "b"})
    (tmp_path / "model").mkdir()
    said = run("check", file, "--model", tmp_path / "model").output
    assert "no tokenizer_config.json" in said


def test_clean_writes_the_rows_and_every_change_next_to_them(tmp_path: Path) -> None:
    chats, out = tmp_path / "chats.jsonl", tmp_path / "clean.jsonl"
    turns = [("assistant", "Hello!"), ("user", "a?"), ("assistant", "b.")]
    rows = [{"messages": [{"role": role, "content": text} for role, text in turns]}, {"messages": 3}]
    chats.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = run("clean", chats, "--out", out)
    assert done.exit_code == 0, done.output
    assert json.loads(out.read_text()) == {"messages": rows[0]["messages"][1:]}  # type: ignore[index]
    changes = [json.loads(line) for line in (tmp_path / "clean.jsonl.changes.jsonl").read_text().splitlines()]
    assert changes[0] == {"row": "chats.jsonl:1", "rules": ["greeting"]}
    assert "must be a list of turns" in changes[1]["left_out"]
    assert "greetings before the first question removed" in done.output
    assert "clean.jsonl exists" in failure(run("clean", chats, "--out", out))[1]
    assert "the file that is read" in failure(run("clean", chats, "--out", chats, "--force"))[1]


def test_check_flags_with_a_named_scorer_what_can_be_read(tmp_path: Path) -> None:
    refused = {"question": "a?", "answer": "I'm sorry, but I can't help with that."}
    path = write(tmp_path / "mine.jsonl", refused, {"question": "b?", "answer": ""})
    result = run("check", path, "--flag-harmful", "refusal")
    assert failure(result)[0] == 1
    assert "flagged by refusal, refusal_rate: 1 answers" in result.stdout
    assert "mine-1: I'm sorry" in result.stdout
    unknown = run("check", path, "--flag-harmful", "refusals")
    assert "Did you mean 'refusal'" in failure(unknown)[1]
