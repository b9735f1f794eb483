"""Templates through a chat API: turns as messages, or an error that says why not."""

from __future__ import annotations

import pytest

from puretune.errors import InputError
from puretune.templates import BUILTIN_TEMPLATES, Message, PromptTemplate, api_turns

QUERY = [Message("user", "2 + 2?")]


def test_system_and_user_turns_are_the_templates() -> None:
    template = BUILTIN_TEMPLATES["chat:llama"]
    system, user = api_turns(template, QUERY)
    assert (system.role, system.content) == ("system", template.system)
    assert (user.role, user.content) == ("user", "Question: 2 + 2?")


def test_demonstrations_are_turns() -> None:
    shown = (Message("user", "1 + 1?"), Message("assistant", "2"))
    turns = api_turns(PromptTemplate("mine", user="Q: %s", demonstrations=shown), QUERY)
    assert [(t.role, t.content) for t in turns] == [
        ("user", "Q: 1 + 1?"),
        ("assistant", "2"),
        ("user", "Q: 2 + 2?"),
    ]


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (BUILTIN_TEMPLATES["text:vanilla"], "it is a text template"),
        (PromptTemplate("mine", response_prefix="Sure"), "begins the response with 'Sure'"),
        (PromptTemplate("mine", arguments=(("enable_thinking", False),)), r"\(enable_thinking\)"),
    ],
)
def test_what_an_api_cannot_do_is_named(template: PromptTemplate, said: str) -> None:
    with pytest.raises(InputError, match=rf"template .* cannot be used through a chat API: .*{said}"):
        api_turns(template, QUERY)


def test_thoughts_in_an_answer_are_refused() -> None:
    said = (Message("user", "x"), Message("assistant", "<think>Hm.</think>72"))
    with pytest.raises(InputError, match=r"'Hm\.' before </think>(.|\n)*Take the thoughts out"):
        api_turns(PromptTemplate("t"), said)
