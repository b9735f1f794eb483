"""A look over a data set finds what is wrong with it, all of it, and calls the rest by its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from puretune.data import DataReport, SourceSpec, check_source
from puretune.errors import InputError

GOOD = {"question": "How many?", "answer": "Two."}


def check(tmp_path: Path, *rows: dict[str, Any], source: str | None = None) -> DataReport:
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = SourceSpec(source, path=path) if source else SourceSpec(str(path))
    return check_source(spec)


def states(report: DataReport) -> dict[str, str]:
    return {item.name: item.state for item in report.checks}


def test_sound_data_passes_every_check(tmp_path: Path) -> None:
    report = check(tmp_path, GOOD, {"question": "Who?", "answer": "He."})
    assert report.passed
    assert set(states(report).values()) == {"ok"}
    assert "prompts: median 6, longest 9" in report.checks[-1].found


def test_every_bad_row_is_collected_with_its_place(tmp_path: Path) -> None:
    bad = [{"question": "a", "answer": ""}, {"question": 1, "answer": "b"}, {**GOOD, "id": "x"}]
    report = check(tmp_path, {**GOOD, "id": "x"}, *bad)
    assert not report.passed
    assert states(report)["usable rows"] == "failed"
    assert [p.split(" ")[0] for p in report.problems] == ["mine.jsonl:2:", "mine.jsonl:3:", "mine.jsonl:4:"]


def test_duplicates_and_rival_responses_are_noted(tmp_path: Path) -> None:
    report = check(tmp_path, GOOD, GOOD, {**GOOD, "answer": "Three."})
    assert report.passed
    assert (states(report)["duplicates"], states(report)["prompts"]) == ("note", "note")


def test_prompts_without_any_response_are_noted_and_some_without_fail(tmp_path: Path) -> None:
    assert states(check(tmp_path, {"question": "a"}, {"question": "b"}))["responses"] == "note"
    assert states(check(tmp_path, GOOD, {"question": "b"}))["responses"] == "failed"


def test_an_example_that_trains_nothing_fails(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "1"}, {"role": "assistant", "content": "2", "weight": 0}]
    assert states(check(tmp_path, {"messages": turns}))["trained turns"] == "failed"


def test_another_number_of_rows_than_published_is_noted(tmp_path: Path) -> None:
    report = check(tmp_path, GOOD, source="gsm8k")
    assert report.checks[0].found == "1; the published train split has 7,473"


def test_what_cannot_be_read_at_all_is_raised(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no examples"):
        check(tmp_path)
    with pytest.raises(InputError, match="no format has these columns"):
        check(tmp_path, {"x": "1"})


def test_answers_with_thoughts_are_counted_and_their_marks_are_no_markup(tmp_path: Path) -> None:
    channels = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Two."
    said = ["Two.", "<think>a</think>b", channels]
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"q{len(a)}", "completion": a}) + "\n" for a in said))
    found = {check.name: check for check in check_source(SourceSpec(str(path))).checks}
    assert found["thoughts"].state == "note"
    assert found["thoughts"].found.startswith("2 examples")
    assert found["markup"].state == "ok"
