"""A template's fields are checked alike in files, in studies and in Python, and every fault has its place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puretune.errors import InputError, PuretuneError
from puretune.templates import (
    ALIASES,
    BUILTIN_TEMPLATES,
    Message,
    PromptTemplate,
    load_templates,
    own_template,
)

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"user": None}, "user: null should be text"),
    ({"user": 3}, "user: the number 3 should be text. Put it in quotes"),
    ({"user": ["%s"]}, "user: a list should be text"),
    ({"user": "hello"}, "user: the user wrapper 'hello' has no %s"),
    ({"system": 3}, "system: the number 3 should be text"),
    ({"mode": "caht"}, "mode: 'caht' is not one of text, chat"),
    ({"own_system": "maybe"}, "own_system: 'maybe' is not one of forbid, keep, drop"),
    ({"own_system": True}, "own_system: true is not one of"),
    ({"response_prefix": 3}, "response_prefix: the number 3 should be text"),
    ({"response_prefix": None}, "response_prefix: null should be text"),
    ({"separator": 3}, "separator: the number 3 should be text"),
    ({"demonstrations": 3}, "demonstrations: the number 3 should be a list"),
    ({"demonstrations": [{"user": 3}]}, "demonstration 1 (user): the number 3 should be text"),
    ({"demonstrations": [{"assistant": "a"}]}, "demonstration 1 is 'assistant', but 'user' comes here"),
    ({"demonstrations": [{"user": "a"}]}, "the last demonstration must be an `assistant: TEXT` turn"),
    ({"demonstrations": [{"user": "a"}, {"assistant": " "}]}, "demonstration 2 (assistant) is empty"),
    ({"demonstrations": [{"system": "a"}]}, "demonstration 1 should be `user: TEXT` or `assistant: TEXT`"),
    ({"arguments": ["a"]}, "arguments: a list should be a mapping"),
    ({"arguments": {1: 2, "a": 3}}, "arguments: the number 1 is not a name of an argument"),
    ({"arguments": {"messages": []}}, "'messages' is set by puretune and cannot be pinned"),
    ({"arguments": {"a": float("nan")}}, "the argument 'a' has a value that is not plain"),
    ({"safety": "yes"}, "safety: the text 'yes' should be true or false"),
    ({"system": "a\0b"}, "system: the text contains a NUL character"),
    ({"system": "\ud800"}, "system: the text holds half a character"),
    ({"system": "\ufdd1"}, "system: the text has the noncharacter U+FDD1"),
    ({"system": "x" * 1_000_001}, "system: 1,000,001 characters are too many"),
    ({"sistem": "x"}, "unknown key 'sistem'. Did you mean 'system'?"),
]


@pytest.mark.parametrize(("fields", "message"), WRONG, ids=[message for _, message in WRONG])
def test_a_wrong_field_names_template_key_and_fix(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        own_template("x", fields)
    assert str(caught.value).startswith("template 'x': ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"user": "hello"}, "has no %s"),
        ({"mode": "caht"}, "'caht' is not one of"),
        ({"own_system": "maybe"}, "'maybe' is not one of"),
        ({"system": 3}, "should be text"),
        ({"safety": 1}, "should be true or false"),
        ({"arguments": (("tools", {1, 2}),)}, "'tools' has a value that is not plain"),
        ({"arguments": 3}, "should be a mapping"),
        ({"demonstrations": (Message("system", "a"),)}, "demonstration 1 should be"),
        ({"demonstrations": "ab"}, "should be a list"),
    ],
)
def test_python_is_checked_as_files_are(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PromptTemplate("x", **fields)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (1, "the number 1 is not a name of a template. Put it in quotes"),
        (None, "null is not a name"),
        ("", "empty or has blanks around it"),
        ("x" * 101, "has 101 characters"),
        ("a\x1b[2J", r"'a\\x1b\[2J' has a character that cannot be seen"),
        ("a\u202eb", "has a character that cannot be seen"),
        ("a\nb", "has a character that cannot be seen"),
        ("\ud800", "has a character that cannot be seen"),
    ],
)
def test_a_name_that_cannot_be_shown_or_typed_is_refused(name: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        own_template(name, {"user": "%s"})


@pytest.mark.parametrize("name", [*BUILTIN_TEMPLATES, *ALIASES])
def test_no_built_in_template_is_redefined(name: str) -> None:
    with pytest.raises(InputError, match=r"built.in.*cannot be redefined") as caught:
        own_template(name, {"own_system": "drop"})
    assert ALIASES.get(name, name) in str(caught.value)


def file_of(directory: Path, content: str) -> Path:
    path = directory / "t.yaml"
    path.write_text(content)
    return path


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ("a: {user: '%s'}\nb:\n  mode: chat\n  user: hello\n", 4, "template 'b': user: the user wrapper"),
        ("templates:\n  b:\n    mode: cat\n", 3, "template 'b': mode: 'cat' is not one of"),
        ("templates:\n  CL: {own_system: drop}\n", 2, "'CL' is the short name of the built-in"),
        ("templates: [a]\n", 1, "`templates` is a list"),
        ("templates:\n", 1, "`templates` is null"),
        ("", 1, "the file is null"),
        ("\n\n1: {user: '%s'}\n", 3, "the number 1 is not a name of a template"),
        ("a: 2024-13-45\n", 1, "'2024-13-45' is not a date"),
        ("a: &a {system: *a}\n", 1, ""),
        ("a: {user: '%s', user: '%s'}\n", 1, "duplicate key 'user'"),
    ],
)
def test_a_fault_in_a_file_has_its_line(tmp_path: Path, content: str, line: int, message: str) -> None:
    with pytest.raises(InputError) as caught:
        load_templates(file_of(tmp_path, content))
    assert str(caught.value).startswith(f"{tmp_path / 't.yaml'}:{line}: ")
    assert message in str(caught.value)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner),
    max_leaves=6,
)
KEYS = st.sampled_from([*PromptTemplate.__dataclass_fields__]) | st.text(max_size=4)


NAMES = PLAIN.filter(lambda value: not isinstance(value, list | dict))


@given(name=NAMES, fields=st.dictionaries(KEYS, PLAIN))
def test_any_value_is_a_template_or_one_clear_error(name: Any, fields: dict[str, Any]) -> None:
    said = ""
    try:
        template = own_template(name, fields)
    except PuretuneError as error:
        said = str(error)
    else:
        assert template.name == name
        assert hash(template) == hash(replace(template))
    assert "\n" not in said
    assert "pydantic" not in said
