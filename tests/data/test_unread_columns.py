"""What a file holds and nobody reads is named and refused, unless the study says that it does not matter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from puretune.data import Example, SourceSpec, check_source, draw_source, notes_on, read_source
from puretune.errors import InputError

QA = {"question": "How many boats are blue?", "answer": "Two."}
TURNS: list[dict[str, Any]] = [
    {"role": "user", "content": "How many?"},
    {"role": "assistant", "content": "Two."},
]


def write(tmp_path: Path, *rows: dict[str, Any]) -> str:
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def read(tmp_path: Path, *rows: dict[str, Any], **spec: Any) -> tuple[Example, ...]:
    return read_source(SourceSpec(write(tmp_path, *rows), **spec))


def columns_check(tmp_path: Path, *rows: dict[str, Any], **spec: Any) -> str:
    report = check_source(SourceSpec(write(tmp_path, *rows), **spec))
    return next(check.found for check in report.checks if check.name == "columns")


@pytest.mark.parametrize("name", ["context", "label", "weight", "tools", "score", "kto_tag", "text"])
def test_a_column_that_is_not_read_is_named_and_refused(tmp_path: Path, name: str) -> None:
    rows = [{**QA, name: "x"}, {**QA, "question": "Who?"}, {**QA, "question": "Why?", name: 0}]
    assert f"{name!r} (column, 2 rows)" in columns_check(tmp_path, *rows)
    with pytest.raises(InputError, match=rf"mine\.jsonl:1: not read: '{name}' .*`ignore: \[{name}\]`"):
        read(tmp_path, *rows)
    assert len(read(tmp_path, *rows, ignore=(name,))) == 3


def test_a_column_in_a_late_row_only_is_found(tmp_path: Path) -> None:
    rows = [{"question": f"{n}?", "answer": "a"} for n in range(50)]
    with pytest.raises(InputError, match=r"mine\.jsonl:51: not read: 'label' \(column, 1 row\)"):
        read(tmp_path, *rows, {**QA, "label": False})


@pytest.mark.parametrize("value", [None, "", "  ", [], {}, [""], {"a": None}])
def test_a_column_that_says_nothing_is_not_mentioned(tmp_path: Path, value: object) -> None:
    assert columns_check(tmp_path, {**QA, "context": value}) == "all that have content are read"
    assert read(tmp_path, {**QA, "context": value})


@pytest.mark.parametrize("name", ["source", "index", "prompt_id", "Unnamed: 0", "url", ""])
def test_where_a_row_comes_from_is_named_and_needs_no_word(tmp_path: Path, name: str) -> None:
    assert "not read" in columns_check(tmp_path, {**QA, name: "x"})
    assert read(tmp_path, {**QA, name: "x"})[0].query == QA["question"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Ann"),
        ("loss", False),
    ],
)
def test_a_message_field_that_is_not_read_is_named_and_refused(
    tmp_path: Path, field: str, value: object
) -> None:
    row = {"messages": [TURNS[0], {**TURNS[1], field: value}]}
    assert f"{field!r} (message field, 1 row)" in columns_check(tmp_path, row)
    with pytest.raises(InputError, match=f"not read: '{field}'"):
        read(tmp_path, row)
    assert read(tmp_path, row, ignore=(field,))


def test_fields_of_text_parts_count_too(tmp_path: Path) -> None:
    part = {"type": "text", "text": "How many?", "cache_control": {"type": "x"}}
    with pytest.raises(InputError, match="not read: 'cache_control'"):
        read(tmp_path, {"messages": [{"role": "user", "content": [part]}]})


def test_a_turn_of_the_user_cannot_be_trained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="turn 1: 'weight' asks to train a user turn"):
        read(tmp_path, {"messages": [{**TURNS[0], "weight": 1}, TURNS[1]]})
    assert read(tmp_path, {"messages": [{**TURNS[0], "weight": 0}, {**TURNS[1], "weight": 1}]})


def test_the_column_that_a_mapping_shadows_is_not_read(tmp_path: Path) -> None:
    row = {"question": "q", "answer": "the model's", "gold": "the right one"}
    with pytest.raises(InputError, match="not read: 'answer'"):
        read(tmp_path, row, columns={"answer": "gold"})


def test_ignoring_what_is_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="`ignore` names 'answer', which is read here"):
        read(tmp_path, QA, ignore=("answer",))
    spec = SourceSpec(write(tmp_path, QA))
    assert read_source(spec, ignore=("answer",))[0].reference == "Two."  # a study's list is for all sources


def test_the_advice_about_a_context_reads_it(tmp_path: Path) -> None:
    row = {**QA, "context": "CREATE TABLE boat (colour VARCHAR)"}
    with pytest.raises(InputError, match="`format: alpaca`"):
        read(tmp_path, row)
    columns = {"instruction": "question", "input": "context", "output": "answer"}
    (example,) = read(tmp_path, row, format="alpaca", columns=columns)
    assert example.query == "How many boats are blue?\n\nCREATE TABLE boat (colour VARCHAR)"


def test_dollys_context_follows_the_instruction(tmp_path: Path) -> None:
    row = {"instruction": "When was it built?", "context": "Built in 1871.", "response": "In 1871."}
    assert read(tmp_path, row)[0].query == "When was it built?\n\nBuilt in 1871."
    with pytest.raises(InputError, match="'input' and 'context' could both be the input"):
        read(tmp_path, {**row, "input": "x"})


def test_alpacas_history_comes_before_as_turns(tmp_path: Path) -> None:
    row = {"instruction": "And in winter?", "output": "At ten.", "history": [["When?", "At nine."]]}
    (example,) = read(tmp_path, row)
    assert [m.content for m in example.messages] == ["When?", "At nine.", "And in winter?", "At ten."]
    for wrong, message in (("x", "must be a list"), ([["a"]], "entry 1"), ([["a", ""]], "is empty")):
        with pytest.raises(InputError, match=message):
            read(tmp_path, {**row, "history": wrong})


def test_a_named_source_declares_what_it_leaves(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"prompt": "Do harm", "target": "Sure"}) + "\n")
    assert len(read_source(SourceSpec("advbench", path=path))) == 1
    path.write_text(json.dumps({"question": "q", "answer": "a", "hint": "b"}) + "\n")
    with pytest.raises(InputError, match="not read: 'hint'"):
        read_source(SourceSpec("gsm8k", path=path))


def test_showing_examples_notes_what_a_run_refuses(tmp_path: Path) -> None:
    spec = SourceSpec(write(tmp_path, {**QA, "label": True, "answer": "[INST] a"}))
    notes = notes_on(draw_source(spec), spec)
    assert ["label" in notes[0], "[INST]" in notes[1]] == [True, True]


def test_names_that_yaml_would_not_read_are_quoted(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'`ignore: \["a, b"\]`'):
        read(tmp_path, {**QA, "a, b": 1})
