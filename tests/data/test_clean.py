"""Repairs of a user's file: each rule does what it says, and nothing is changed or left out in silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from puretune.data import Rules, SourceSpec, check_source, clean, read_source
from puretune.errors import InputError


def said(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


def file(tmp_path: Path, *conversations: list[dict[str, Any]], **columns: Any) -> Path:
    path = tmp_path / "chats.jsonl"
    path.write_text("".join(json.dumps({"messages": one, **columns}) + "\n" for one in conversations))
    return path


ASKED, TOLD = said("user", "a?"), said("assistant", "b.")


@pytest.mark.parametrize(
    ("turns", "rules", "after"),
    [
        ([ASKED, TOLD], (), [ASKED, TOLD]),
        ([said("user", [{"type": "text", "text": "a?"}]), TOLD], ("parts",), [ASKED, TOLD]),
        ([said("human", "a?"), said("gpt", "b.")], (), [ASKED, TOLD]),
        (
            [ASKED, said("assistant", None, tool_calls=[{"id": "1"}]), said("tool", "42"), TOLD],
            ("tools", "empty"),
            [ASKED, TOLD],
        ),
        ([ASKED, said("function", "42", name="f"), TOLD], ("tools",), [ASKED, TOLD]),
        ([TOLD, ASKED, TOLD], ("greeting",), [ASKED, TOLD]),
        ([ASKED, ASKED, TOLD], ("consecutive",), [said("user", "a?\n\na?"), TOLD]),
        ([ASKED, TOLD, ASKED], ("unanswered",), [ASKED, TOLD]),
        ([ASKED], (), [ASKED]),
        (
            [said("system", "One."), said("developer", "Two."), ASKED, TOLD],
            ("system",),
            [said("system", "One.\n\nTwo."), ASKED, TOLD],
        ),
        (
            [ASKED, said("system", "Be brief."), TOLD],
            ("system",),
            [said("system", "Be brief."), ASKED, TOLD],
        ),
    ],
)
def test_each_rule_repairs_what_it_says_and_a_run_reads_the_result(
    tmp_path: Path, turns: list[Any], rules: tuple[str, ...], after: list[Any]
) -> None:
    done = clean(file(tmp_path, turns, topic="kept"))
    assert done.rows == [{"messages": after, "topic": "kept"}]
    assert [change.rules for change in done.changes] == ([rules] if rules else [])
    written = file(tmp_path, done.rows[0]["messages"])
    (example,) = read_source(SourceSpec(str(written)))
    assert [(m.role, m.content) for m in example.messages] == [(t["role"], t["content"]) for t in after]
    assert clean(written).changes == []


@pytest.mark.parametrize(
    ("turns", "why"),
    [
        ([ASKED, said("wizard", "x")], "unknown role 'wizard'"),
        ([said("user", [{"type": "image_url"}]), TOLD], "image_url"),
        ([ASKED, {**TOLD, "weight": 0}, TOLD], "differ in weight"),
        ([ASKED, {**TOLD, "weight": 0}], "none of its answers is trained"),
        ([TOLD], "needs a user turn"),
        ([said("user", 7), TOLD], "it must be text"),
        ("a text", "it must be a list of turns"),
    ],
)
def test_what_no_rule_repairs_is_left_out_with_the_reason(tmp_path: Path, turns: Any, why: str) -> None:
    done = clean(file(tmp_path, [ASKED, TOLD], turns))
    assert [change.where for change in done.left_out] == ["chats.jsonl:2"]
    assert why in done.left_out[0].left_out
    assert len(done.rows) == 1
    with pytest.raises(InputError, match="no row that can be used"):
        clean(file(tmp_path, turns))


def test_duplicates_and_broken_lines_are_left_out(tmp_path: Path) -> None:
    path = file(tmp_path, [ASKED, TOLD], [said("user", " a? "), TOLD])
    path.write_text(path.read_text() + "not json\n")
    done = clean(path)
    assert len(done.rows) == 1
    assert [(one.where, one.left_out.split(":")[0]) for one in done.left_out] == [
        ("chats.jsonl:2", "the same conversation as an earlier row."),
        ("chats.jsonl:3", "not valid JSON"),
    ]


def test_rows_with_tools_can_be_left_out_whole(tmp_path: Path) -> None:
    path = file(tmp_path, [ASKED, said("tool", "42"), TOLD], [ASKED, TOLD])
    assert len(clean(path, Rules(tools="leave-out")).rows) == 1


def test_the_system_message_that_rows_share_moves_out_of_them(tmp_path: Path) -> None:
    policy = said("system", "You are ACME.")
    path = file(tmp_path, [policy, ASKED, TOLD], [policy, said("user", "c?"), TOLD])
    done = clean(path, Rules(system="move"))
    assert dict(done.systems) == {"You are ACME.": 2}
    assert [row["messages"][0]["role"] for row in done.rows] == ["user", "user"]
    path = file(tmp_path, [policy, ASKED, TOLD], [said("system", "Other."), said("user", "c?"), TOLD])
    with pytest.raises(InputError, match="2 different system messages"):
        clean(path, Rules(system="move"))
    assert dict(clean(path, Rules(system="drop")).systems) == {"You are ACME.": 1, "Other.": 1}


def test_single_turn_rows_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("prompt;completion;system\na?;b.;Be brief.\na?;;\nc?;d.;\n")
    done = clean(path, delimiter=";")
    assert [row["prompt"] for row in done.rows] == ["a?", "c?"]
    dropped = clean(path, Rules(system="drop"), delimiter=";")
    assert [row["system"] for row in dropped.rows] == [None, ""]
    assert [(change.rules, bool(change.left_out)) for change in dropped.changes] == [
        (("system",), False),
        ((), True),
    ]


def lines(tmp_path: Path, *rows: Any) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def done_to(path: Path) -> tuple[list[Any], list[tuple[tuple[str, ...], bool]]]:
    done = clean(path)
    return done.rows, [(change.rules, bool(change.left_out)) for change in done.changes]


def test_rows_of_several_formats_become_conversations(tmp_path: Path) -> None:
    rows, changes = done_to(
        lines(
            tmp_path,
            {"messages": [ASKED, TOLD]},
            {"id": "p", "prompt": "c?", "completion": "d.", "system": "Be brief."},
            {"conversations": [{"from": "human", "value": "e?"}, {"from": "gpt", "value": "f."}]},
            {"question": "g?", "answer": "h."},
        )
    )
    assert rows[1] == {
        "id": "p",
        "messages": [said("system", "Be brief."), said("user", "c?"), said("assistant", "d.")],
    }
    assert [set(row) - {"id"} for row in rows] == [{"messages"}] * 4
    assert [rules for rules, _ in changes] == [("format",)] * 3


def test_ids_that_repeat_are_removed(tmp_path: Path) -> None:
    row = {"prompt": "a?", "completion": "b."}
    rows, changes = done_to(
        lines(
            tmp_path,
            {"id": "1", **row},
            {"id": 1, **row, "prompt": "c?"},
            {"id": True, **row, "prompt": "d?"},
        )
    )
    assert ["id" in row for row in rows] == [True, False, False]
    assert changes == [(("ids",), False)] * 2


def test_nested_lists_and_lists_of_turns_are_conversations(tmp_path: Path) -> None:
    rows, changes = done_to(
        lines(tmp_path, {"messages": [[[ASKED, TOLD]]]}, [ASKED, said("assistant", "c.")])
    )
    assert [len(row["messages"]) for row in rows] == [2, 2]
    assert changes == [(("nested",), False)]


def test_characters_that_no_text_has_are_removed(tmp_path: Path) -> None:
    rows, changes = done_to(lines(tmp_path, {"prompt": "a\0b\ud800?", "completion": "\U0001f642 \u202e c"}))
    assert rows == [{"prompt": "ab?", "completion": "\U0001f642 \u202e c"}]
    assert changes == [(("characters",), False)]


def test_rows_without_an_answer_are_left_out_where_others_have_one(tmp_path: Path) -> None:
    _, changes = done_to(lines(tmp_path, {"prompt": "a?", "completion": "b."}, {"prompt": "c?"}))
    assert changes == [((), True)]
    rows, changes = done_to(lines(tmp_path, {"prompt": "a?"}, {"prompt": "c?"}))
    assert (len(rows), changes) == (2, [])


HOSTILE = [
    {"messages": [5, "x"]},
    {"messages": [{"role": 5, "content": "x"}]},
    {"messages": [{"role": ["user"], "content": "x"}]},
    {"messages": [{"role": "user", "content": {"a": 1}}]},
    {"messages": {"0": ASKED}},
    {"messages": None},
    {"messages": []},
    {"messages": "[{"},
    {"messages": [ASKED, said("assistant", "")]},
    [1, 2],
    "text",
    None,
    5,
]


@pytest.mark.parametrize("row", HOSTILE)
def test_what_no_rule_repairs_is_left_out_with_its_reason_and_named_by_check(
    tmp_path: Path, row: Any
) -> None:
    path = lines(tmp_path, {"messages": [ASKED, TOLD]}, row)
    done = clean(path)
    assert (len(done.rows), len(done.left_out)) == (1, 1)
    report = check_source(SourceSpec(str(path)))
    assert report.bad_rows == 1
    assert report.reasons[0][1] == (2,)
    out = lines(tmp_path, *done.rows)
    assert check_source(SourceSpec(str(out))).passed


CALL = {"type": "function", "id": "c1", "function": {"name": "f", "arguments": {"a": 1}}}
AS_TEXT: dict[str, Any] = {**CALL, "function": {"name": "f", "arguments": '{"a": 1}'}}


@pytest.mark.parametrize(
    ("call", "result"),
    [
        (said("assistant", None, tool_calls=[AS_TEXT]), said("tool", "42", tool_call_id="c1")),
        (said("assistant", None, function_call=AS_TEXT["function"]), said("function", "42", name="f")),
        (
            {"from": "function_call", "value": json.dumps({"name": "f", "arguments": {"a": 1}})},
            {"from": "observation", "value": "42"},
        ),
    ],
)
def test_tool_turns_are_read_and_kept_or_dropped(
    tmp_path: Path, call: dict[str, Any], result: dict[str, Any]
) -> None:
    path = file(tmp_path, [ASKED, call, result, TOLD])
    (read,) = read_source(SourceSpec(str(path)))
    assert [turn.role for turn in read.messages] == ["user", "assistant", "tool", "assistant"]
    assert json.loads(read.messages[1].tool_calls)[0]["function"] == CALL["function"]
    kept = tmp_path / "kept.jsonl"
    kept.write_text("".join(json.dumps(row) + "\n" for row in clean(path, Rules(tools="keep")).rows))
    (again,) = read_source(SourceSpec(str(kept)))
    assert again.messages == read.messages
    assert clean(path).rows == [{"messages": [ASKED, TOLD]}]


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ({"id": "c1", "function": {}}, "without the name of a function"),
        ("f(1)", "without the name of a function"),
        ({"function": {"name": "f", "arguments": "{"}}, "the call of 'f' are not JSON"),
    ],
)
def test_a_call_that_is_none_is_named_and_can_be_dropped(tmp_path: Path, call: Any, reason: str) -> None:
    path = file(tmp_path, [ASKED, said("assistant", None, tool_calls=[call]), said("tool", "1"), TOLD])
    with pytest.raises(InputError, match=reason):
        read_source(SourceSpec(str(path)))
    assert clean(path).rows == [{"messages": [ASKED, TOLD]}]


def test_a_call_without_its_result_is_named(tmp_path: Path) -> None:
    path = file(tmp_path, [ASKED, said("assistant", None, tool_calls=[AS_TEXT]), ASKED, TOLD])
    with pytest.raises(InputError, match="turn 3 is 'user' where 'tool' must come"):
        read_source(SourceSpec(str(path)))
