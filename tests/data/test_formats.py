"""Users' formats become messages; what cannot is told with its row."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from puretune.data import Example, SourceSpec, read_source
from puretune.errors import InputError
from puretune.templates import Message

ASK, SAY = Message("user", "How many?"), Message("assistant", "Two.")
SYSTEM = Message("system", "Be brief.")


def read(tmp_path: Path, *rows: Mapping[str, Any], **spec: Any) -> tuple[Example, ...]:
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_source(SourceSpec(str(path), **spec))


def turns(*pairs: tuple[str, str], role: str = "role", content: str = "content") -> list[dict[str, str]]:
    return [{role: who, content: text} for who, text in pairs]


CHAT = (("system", "Be brief."), ("user", "How many?"), ("assistant", "Two."))
SHAREGPT = (("system", "Be brief."), ("human", "How many?"), ("gpt", "Two."))


@pytest.mark.parametrize(
    "row",
    [
        {"messages": turns(*CHAT)},
        {"messages": turns(("developer", "Be brief."), *CHAT[1:])},
        {"messages": turns(*SHAREGPT, role="from", content="value")},
        {"conversations": turns(*CHAT)},
        {"conversations": turns(*SHAREGPT, role="from", content="value")},
        {"system": "Be brief.", "conversations": turns(*SHAREGPT[1:], role="from", content="value")},
        {"system": "Be brief.", "prompt": "How many?", "completion": "Two."},
        {"system": "Be brief.", "instruction": "How many?", "output": "Two."},
        {"system": "Be brief.", "instruction": "How many?", "input": "", "output": "Two."},
        {"system": "Be brief.", "question": "How many?", "answer": "Two."},
        {"system": "Be brief.", "query": "How many?", "reference": "Two."},
    ],
)
def test_every_format_is_known_by_its_columns(tmp_path: Path, row: Mapping[str, Any]) -> None:
    assert read(tmp_path, row)[0].messages == (SYSTEM, ASK, SAY)


def test_the_alpaca_input_follows_the_instruction_after_a_blank_line(tmp_path: Path) -> None:
    (example,) = read(tmp_path, {"instruction": "Count.", "input": "a b", "output": "Two."})
    assert example.query == "Count.\n\na b"


def test_a_conversation_of_many_turns_keeps_them_all(tmp_path: Path) -> None:
    pairs = [("user", "1"), ("assistant", "2"), ("user", "3"), ("assistant", "4")]
    (example,) = read(tmp_path, {"messages": turns(*pairs)})
    assert [(m.role, m.content) for m in example.messages] == pairs
    assert (example.query, example.reference) == ("3", "4")


@pytest.mark.parametrize("key", [{"weight": 0}, {"train": False}, {"weight": 0, "train": False}])
def test_a_turn_of_weight_zero_is_shown_and_not_trained(tmp_path: Path, key: dict[str, Any]) -> None:
    conversation = turns(("user", "1"), ("assistant", "2"), ("user", "3"), ("assistant", "4"))
    conversation[1].update(key)
    (example,) = read(tmp_path, {"messages": conversation})
    assert [m.train for m in example.messages if m.role == "assistant"] == [False, True]


def test_text_parts_are_joined(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "How "}, {"type": "text", "text": "many?"}]
    (example,) = read(tmp_path, {"messages": [{"role": "user", "content": parts}]})
    assert example.query == "How many?"


@pytest.mark.parametrize("row", [{"prompt": "Hi"}, {"question": "Hi"}, {"instruction": "Hi"}])
def test_a_prompt_without_a_response_is_a_prompt_to_test_with(tmp_path: Path, row: dict[str, str]) -> None:
    (example,) = read(tmp_path, row)
    assert (example.query, example.reference) == ("Hi", None)


def test_a_column_that_only_resembles_a_response_is_no_slip(tmp_path: Path) -> None:
    row, ignored = {"question": "Hi", "answer_key": "B", "response_id": 1}, ("answer_key", "response_id")
    assert read(tmp_path, row, ignore=ignored)[0].reference is None


def test_columns_are_mapped_from_the_users_names(tmp_path: Path) -> None:
    row = {"frage": "How many?", "antwort": "Two.", "thema": "sums", "nr": 7}
    columns = {"question": "frage", "answer": "antwort", "cluster": "thema", "id": "nr"}
    (example,) = read(tmp_path, row, columns=columns)
    assert example == Example("7", (ASK, SAY), cluster="sums")


def test_a_mapping_decides_between_two_possible_columns(tmp_path: Path) -> None:
    row = {"query": "How many?", "reference": "Two.", "answer": "what the model said"}
    with pytest.raises(InputError, match="'answer' and 'reference' could both be the answer"):
        read(tmp_path, row)
    columns, ignored = {"answer": "reference"}, ("answer",)
    assert read(tmp_path, row, columns=columns, ignore=ignored)[0].reference == "Two."


def test_an_explicit_format_wins_over_detection(tmp_path: Path) -> None:
    row = {"messages": turns(*CHAT), "prompt": "How many?", "completion": "Two."}
    (example,) = read(tmp_path, row, format="prompt-completion", ignore=("messages",))
    assert example.messages == (ASK, SAY)


def test_metadata_and_cluster_are_kept(tmp_path: Path) -> None:
    (example,) = read(tmp_path, {"question": "Which?", "answer": "B", "cluster": "x", "metadata": {"k": [1]}})
    assert (example.cluster, example.metadata) == ("x", {"k": [1]})


GOOD = {"question": "How many?", "answer": "Two."}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "How many?", "answer": " "}, "mine.jsonl:2: 'answer' is empty"),
        ({"question": "How many?", "answer": None}, "mine.jsonl:2: 'answer' is null; it must be text"),
        ({"question": "How many?", "answer": 2}, "mine.jsonl:2: 'answer' is the number 2; it must be text"),
        ({"question": ["How many?"], "answer": "Two."}, "mine.jsonl:2: 'question' is a list"),
        ({"question": "\ud800", "answer": "Two."}, "mine.jsonl:2: 'question' holds half a character"),
        ({"qestion": "How many?", "answer": "Two."}, "no column 'question'. Did you mean 'qestion'?"),
        ({"question": "How many?", "anwser": "Two."}, "no column 'answer', but 'anwser'"),
        ({**GOOD, "metadata": "x"}, "'metadata' is the text 'x'; it must be an object"),
        ({**GOOD, "id": True}, "id is true"),
    ],
)
def test_a_row_that_is_no_example_is_named(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, GOOD, row)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("conversation", "message"),
    [
        ([("user", "1"), ("user", "2")], "turn 2 is 'user' where 'assistant' must come"),
        ([("assistant", "1"), ("user", "2")], "turn 1 is 'assistant' where 'user' must come"),
        ([("user", "1"), ("system", "2")], "turn 2 is 'system' where 'assistant' must come"),
        ([("system", "1")], "needs a user turn"),
        ([], "needs a user turn"),
        ([("user", "1"), ("asistant", "2")], "turn 2: unknown role 'asistant'. Did you mean 'assistant'?"),
        ([("user", "1"), ("tool", "2")], "turn 2 is 'tool' where 'assistant' must come"),
        ([("user", "1"), ("assistant", "")], "turn 2: 'content' is empty"),
    ],
)
def test_turns_that_make_no_conversation_are_named(
    tmp_path: Path, conversation: list[tuple[str, str]], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, {"messages": turns(*conversation)})
    assert "mine.jsonl:1" in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("turn", "message"),
    [
        ({"weight": 0.5}, "'weight' is 0.5; use 0 or 1"),
        ({"train": "no"}, "'train' is the text 'no'; use 0 or 1"),
        ({"weight": 1, "train": False}, "contradict each other"),
    ],
)
def test_a_weight_that_means_nothing_is_an_error(tmp_path: Path, turn: dict[str, Any], message: str) -> None:
    conversation = [{"role": "user", "content": "1"}, {"role": "assistant", "content": "2", **turn}]
    with pytest.raises(InputError, match=message):
        read(tmp_path, {"messages": conversation})


def test_messages_that_are_no_list_of_objects_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'messages' is text that is no JSON list; it must be a list"):
        read(tmp_path, {"messages": "How many?"})
    with pytest.raises(InputError, match="turn 1 is the text 'How many"):
        read(tmp_path, {"messages": ["How many?"]})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"format": "alpacca"}, "unknown format 'alpacca'. Did you mean 'alpaca'?"),
        ({"format": "messages"}, "no column 'messages'"),
        ({"columns": {"question": "frge"}}, "no column 'frge'. Did you mean 'frage'?"),
        ({"columns": {"qustion": "frage"}}, "unknown column 'qustion'. Did you mean 'question'?"),
        ({}, "no format has these columns. The columns are: frage, antwort."),
    ],
)
def test_a_wrong_format_or_mapping_is_told_with_the_nearest_name(
    tmp_path: Path, spec: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, {"frage": "How many?", "antwort": "Two."}, **spec)
    assert message in str(caught.value)


def test_columns_of_two_formats_ask_which_is_meant(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'prompt-completion' or 'question-answer'; say which"):
        read(tmp_path, {"prompt": "a", "question": "b"})


@pytest.mark.parametrize("kind", ["text", "input_text", "output_text"])
def test_text_parts_are_one_text(tmp_path: Path, kind: str) -> None:
    parts = [{"type": kind, "text": "How "}, {"type": kind, "text": "many?"}]
    (row,) = read(tmp_path, {"messages": [{"role": "user", "content": parts}, *turns(CHAT[2])]})
    assert row.messages == (ASK, SAY)


def test_a_part_that_is_no_text_is_named_by_its_type(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": "x"}}]
    with pytest.raises(InputError, match=r"jsonl:1: turn 1: 'content' is a list .* of type 'image_url'"):
        read(tmp_path, {"messages": [{"role": "user", "content": parts}]})


@pytest.mark.parametrize("name", ["conversation", "chosen", "dialog"])
def test_a_conversation_under_another_name_is_read_as_the_error_says(tmp_path: Path, name: str) -> None:
    row = {name: turns(*CHAT)}
    with pytest.raises(InputError, match=rf"columns {{messages: {name}}}"):
        read(tmp_path, row)
    assert read(tmp_path, row, columns={"messages": name})[0].messages == (SYSTEM, ASK, SAY)


def test_a_column_of_another_format_is_not_suggested(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, {"question": "a", "answer": "b"}, {"prompt": "c", "completion": "d"})
    assert "Map it" not in str(caught.value)


def test_json_over_several_lines_under_the_name_jsonl_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps([{"prompt": "a", "completion": "b"}], indent=1))
    with pytest.raises(InputError, match=r"name this file \.json"):
        read_source(SourceSpec(str(path)))


THOUGHT = "<think>\nOne and one.\n</think>\n\nTwo."


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "thinking"])
def test_thoughts_in_a_field_of_their_own_come_before_the_answer(tmp_path: Path, field: str) -> None:
    said = {"role": "assistant", "content": "Two.", field: "One and one."}
    row = {"messages": [*turns(CHAT[1]), said]}
    assert read(tmp_path, row)[0].messages == (ASK, Message("assistant", THOUGHT))
    assert read(tmp_path, row, ignore=(field,))[0].messages == (ASK, SAY)
    assert read(tmp_path, {"messages": [*turns(CHAT[1]), {**said, field: ""}]})[0].messages == (ASK, SAY)


@pytest.mark.parametrize("more", [{"content": THOUGHT}, {"thinking": "Three less one."}])
def test_thoughts_that_are_there_twice_are_an_error(tmp_path: Path, more: dict[str, str]) -> None:
    said = {"role": "assistant", "content": "Two.", "reasoning_content": "One and one.", **more}
    with pytest.raises(InputError, match=r"turn 2: thoughts in 'reasoning_content' and in .* Keep one"):
        read(tmp_path, {"messages": [*turns(CHAT[1]), said]})


def test_thoughts_of_a_user_are_not_read(tmp_path: Path) -> None:
    asked = {"role": "user", "content": "How many?", "thinking": "Hm."}
    with pytest.raises(InputError, match="not read: 'thinking'"):
        read(tmp_path, {"messages": [asked, *turns(CHAT[2])]})
