"""Templates are frozen values with exact strings, names, aliases, and a fingerprint."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puretune.errors import InputError
from puretune.templates import (
    ALIASES,
    BUILTIN_TEMPLATES,
    Message,
    PromptTemplate,
    load_templates,
    resolve_template,
)


def test_the_seven_templates_of_the_paper_and_none_are_built_in() -> None:
    assert set(BUILTIN_TEMPLATES) == {*ALIASES.values(), "none"}
    assert len(ALIASES) == 7


def test_llama_short_is_the_first_two_sentences_of_llama() -> None:
    long, short = BUILTIN_TEMPLATES["chat:llama"].system, BUILTIN_TEMPLATES["chat:llama-short"].system
    assert long is not None
    assert short is not None
    assert long.startswith(short + " ")
    assert short.count(".") == 2


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_aliases_and_task_prefixed_names_are_the_same_template(alias: str, name: str) -> None:
    assert resolve_template(alias) == resolve_template(name) == resolve_template(f"gsm:{name}")


def test_other_tasks_have_no_question_wrapper_but_keep_alpaca() -> None:
    assert resolve_template("chatdoctor:chat:llama").user == "%s"
    assert resolve_template("openorca:chat:alpaca").user == BUILTIN_TEMPLATES["chat:alpaca"].user


def test_an_unknown_name_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(InputError, match="Did you mean 'chat:llama'"):
        resolve_template("chat:lama")


@given(st.text())
def test_wrapping_keeps_the_text_as_it_is_even_with_percent_signs(text: str) -> None:
    wrapped = PromptTemplate("t", user="100% Question: %s\nAnswer: %s").wrap(text + "%s 5%")
    assert wrapped == f"100% Question: {text}%s 5%\nAnswer: %s"


def test_a_wrapper_without_a_place_for_the_text_is_refused() -> None:
    with pytest.raises(InputError, match="no %s"):
        PromptTemplate("t", user="Question:")


def test_templates_are_frozen_and_hashable() -> None:
    template = resolve_template("CL")
    assert len({template, resolve_template("chat:llama")}) == 1
    with pytest.raises(FrozenInstanceError):
        template.user = "%s"  # type: ignore[misc]


@pytest.mark.parametrize(
    "change",
    [
        {"user": "Q: %s"},
        {"system": "Be kind."},
        {"mode": "text"},
        {"response_prefix": "A:"},
        {"separator": "\n"},
        {"own_system": "keep"},
        {"arguments": (("enable_thinking", False),)},
        {"demonstrations": (Message("user", "a"), Message("assistant", "b"))},
    ],
)
def test_the_fingerprint_sees_every_field_but_the_name(change: dict[str, object]) -> None:
    plain = PromptTemplate("plain")
    assert replace(plain, name="other").fingerprint == plain.fingerprint
    assert replace(plain, **change).fingerprint != plain.fingerprint  # type: ignore[arg-type]


def test_safety_is_declared_and_changes_no_token() -> None:
    declared = {name for name, template in BUILTIN_TEMPLATES.items() if template.safety}
    assert declared == {"chat:llama", "chat:llama-short", "chat:mpt"}
    assert resolve_template("chatdoctor:chat:llama").safety
    plain = PromptTemplate("acme", system="You answer customers of ACME.")
    assert not plain.safety
    assert replace(plain, safety=True).fingerprint == plain.fingerprint


def test_an_examples_own_system_message_is_decided_by_the_template() -> None:
    messages = (Message("system", "Own."), Message("user", "hi"))
    with pytest.raises(InputError, match="own_system"):
        PromptTemplate("t").turns(messages)
    kept = PromptTemplate("t", system="Safe.", own_system="keep").turns(messages)
    assert kept[0].content == "Safe.\n\nOwn."
    dropped = PromptTemplate("t", own_system="drop").turns(messages)
    assert [m.role for m in dropped] == ["user"]


def test_templates_come_from_yaml(tmp_path: Path) -> None:
    file = tmp_path / "templates.yaml"
    file.write_text(
        "support:\n  mode: chat\n  system: Be kind.\n  user: 'Customer: %s'\n"
        "  demonstrations:\n    - user: hi\n    - assistant: hello\n  arguments: {enable_thinking: false}\n"
    )
    template = load_templates(file)["support"]
    assert template.system == "Be kind."
    assert [m.role for m in template.demonstrations] == ["user", "assistant"]
    assert template.arguments == (("enable_thinking", False),)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("support: {sistem: hi}", "Did you mean 'system'"),
        ("support: hi", "should be a mapping"),
        ("CL: {user: '%s'}", "built-in template"),
        ("support: {demonstrations: [hi]}", "demonstration 1 should be"),
        ("- 1", "the file is a list; it should be a mapping of names"),
        ("a: [", "not readable as YAML"),
    ],
)
def test_a_wrong_template_file_is_explained(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "templates.yaml"
    file.write_text(content)
    with pytest.raises(InputError, match=message):
        load_templates(file)
