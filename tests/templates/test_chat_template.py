"""What a model's own chat template may not do unasked, and how arguments pin it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from puretune.errors import InputError
from puretune.templates import Message, PromptTemplate, Renderer, markup_named, resolve_template
from puretune.templates import _spelling as module
from tests import families
from tests.small_tokenizers import CHATML, byte_level

ASKED = (Message("user", "How many?"),)
TODAY = (
    "{% if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}"
    "{% if loop.first and m['role'] == 'system' %} Today is {{ date_string }}.{% endif %}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def renderer(chat_template: str, default_system: Any = "forbid") -> Renderer:
    tokenizer = byte_level(chat_template)
    return Renderer(tokenizer, markup_named("auto", tokenizer, default_system))


@pytest.mark.parametrize(
    ("style", "template", "shown"),
    [
        (
            "qwen2.5",
            "CV",
            r"writes a system message of its own(.|\n)*'You'(.|\n)*default_system: keep(.|\n)*chatml",
        ),
        ("llama-3.1", "CV", r"writes a system message of its own(.|\n)*default_system: keep"),
        ("llama-3.1", "CL", r"adds text of its own to the system message(.|\n)*default_system: keep"),
    ],
)
def test_a_default_system_message_is_an_error_that_shows_it_and_names_the_setting(
    style: str, template: str, shown: str
) -> None:
    made = renderer(families.chat_template(style).replace("bos_token", "''"))
    with pytest.raises(InputError, match=shown):
        made.prompt(resolve_template(template), ASKED)


@pytest.mark.parametrize("style", ["qwen2.5", "llama-3.1"])
def test_keep_makes_it_part_of_every_chat_prompt_and_of_the_fingerprint(style: str) -> None:
    source = families.chat_template(style).replace("bos_token", "''")
    kept = renderer(source, "keep")
    text = kept.prompt(resolve_template("CV"), ASKED).text
    assert "system" in text.partition("Question:")[0]
    assert kept.fingerprint != renderer(source).fingerprint


def test_a_system_message_in_place_of_the_default_one_is_pure() -> None:
    made = renderer(families.chat_template("qwen2.5"))
    assert "You are Qwen" not in made.prompt(resolve_template("CL"), ASKED).text


@pytest.mark.parametrize("style", ["chatml", "qwen3", "llama-2", "mistral", "gemma", "phi-3"])
def test_templates_that_add_nothing_are_let_through(style: str) -> None:
    source = families.chat_template(style).replace("bos_token", "''").replace("eos_token", "'<|im_end|>'")
    assert "Question: How many?" in renderer(source).prompt(resolve_template("CV"), ASKED).text


# In the style of Gemma 3: the system text is inside the first user turn
FOLDED = (
    "{% set first = messages[0]['content'] + '\n\n' if messages[0]['role'] == 'system' else '' %}"
    "{% for m in messages if m['role'] != 'system' %}<|im_start|>{{ m['role'] }}\n"
    "{{ (first if loop.first else '') + m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.mark.parametrize("source", [FOLDED, CHATML, families.chat_template("qwen2.5")])
def test_a_system_message_that_was_asked_for_is_no_addition(source: str) -> None:
    prompt = renderer(source).prompt(PromptTemplate("t", system="Safe."), ASKED)
    assert prompt.text.count("Safe.") == 1


def test_text_templates_do_not_care_what_the_chat_template_adds() -> None:
    made = renderer(families.chat_template("qwen2.5"))
    example = made.example(resolve_template("TV"), (*ASKED, Message("assistant", "72")))
    assert example.text.startswith("Question: How many?\nAnswer: 72")


def test_todays_date_is_an_error_until_it_is_pinned() -> None:
    made, template = renderer(TODAY, "keep"), PromptTemplate("t", system="Safe.")
    with pytest.raises(InputError, match=r"today's date(.|\n)*strftime_now: 2024-07-26(.|\n)*date_string"):
        made.prompt(template, ASKED)
    by_clock = replace(template, arguments=(("strftime_now", date(2024, 7, 26)),))
    by_name = replace(template, arguments=(("date_string", "26 Jul 2024"),))
    assert "Today is 26 Jul 2024." in made.prompt(by_clock, ASKED).text
    assert made.prompt(by_clock, ASKED) == made.prompt(by_name, ASKED)
    assert len({t.fingerprint for t in (template, by_clock, by_name)}) == 3


def test_several_chat_templates_without_a_default_are_an_error() -> None:
    tokenizer = byte_level()
    tokenizer.chat_template = {"rag": CHATML, "tool_use": CHATML}
    with pytest.raises(InputError, match=r"multiple chat templates(.|\n)*explicit markup"):
        Renderer(tokenizer, markup_named("auto", tokenizer)).prompt(resolve_template("CV"), ASKED)


def test_a_day_that_is_none_is_an_error() -> None:
    template = PromptTemplate("t", system="Safe.", arguments=(("strftime_now", "yesterday"),))
    with pytest.raises(InputError, match="'yesterday'; give a day as 2024-07-26"):
        renderer(TODAY).prompt(template, ASKED)


def test_enable_thinking_is_pinned_in_tokens_and_fingerprint() -> None:
    made = renderer(families.chat_template("qwen3"))
    on, off = (PromptTemplate("t", arguments=(("enable_thinking", value),)) for value in (True, False))
    assert made.prompt(off, ASKED).text.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert made.prompt(on, ASKED).text.endswith("<|im_start|>assistant\n")
    assert on.fingerprint != off.fingerprint


def test_an_argument_that_the_chat_template_does_not_know_gets_the_nearest_name() -> None:
    template = PromptTemplate("t", arguments=(("enable_thinkng", False),))
    with pytest.raises(InputError, match=r"argument 'enable_thinkng'\. Did you mean 'enable_thinking'"):
        renderer(families.chat_template("qwen3")).prompt(template, ASKED)


def test_an_argument_must_be_plain() -> None:
    with pytest.raises(InputError, match="'tools'"):
        PromptTemplate("t", arguments=(("tools", {1, 2}),))


def test_what_is_added_is_looked_at_once_for_each_order_of_roles(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[tuple[str, ...]] = []
    real = module.addition

    def counted(pieces: Any, roles: Any, *more: Any) -> Any:
        looked.append(tuple(roles))
        return real(pieces, roles, *more)

    monkeypatch.setattr(module, "addition", counted)
    made = renderer(CHATML)
    for name in ("CV", "CL", "CV", "CM"):
        made.prompt(resolve_template(name), ASKED)
    assert looked == [("user",), ("system", "user")]


def turns_of(role: str, before: str = "", after: str = "", end: str = "") -> str:
    """ChatML with words of its own in the turns of one role, or behind them."""
    return (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['role'] == '"
        + role
        + "' %}"
        + before
        + "{% endif %}{{ m['content'] }}{% if m['role'] == '"
        + role
        + "' %}"
        + after
        + "{% endif %}<|im_end|>\n{% if m['role'] == '"
        + role
        + "' %}"
        + end
        + "{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )


@pytest.mark.parametrize(
    ("source", "where"),
    [
        (turns_of("system", after=" No tools."), "adds text of its own to the system message"),
        (turns_of("system", before="Tools: none. "), "adds text of its own to the system message"),
        (turns_of("user", after="\nThink step by step."), "adds text of its own to the user message"),
        (turns_of("user", before="Be safe: "), "adds text of its own"),
        (turns_of("user", before="用简体中文回答。"), "adds text of its own"),
        (
            turns_of("system", end="<|im_start|>developer\nDeliberation: off.<|im_end|>\n"),
            "adds text of its own",
        ),
        (turns_of("user", end="<|im_start|>tool\nnothing found<|im_end|>\n"), "adds text of its own"),
        (
            CHATML.replace("<|im_start|>assistant\n{% endif %}", "<|im_start|>assistant\nSure, {% endif %}"),
            "adds text of its own",
        ),
    ],
)
def test_words_behind_or_between_the_messages_are_an_error_that_shows_them(source: str, where: str) -> None:
    with pytest.raises(InputError, match=rf"{where}(.|\n)*default_system: keep"):
        renderer(source).prompt(PromptTemplate("t", system="Safe."), ASKED)
    kept = renderer(source, "keep").prompt(PromptTemplate("t", system="Safe."), ASKED)
    assert "How many?" in kept.text


@pytest.mark.parametrize(
    "turn",
    [
        "### {{ 'Instruction' if m['role'] == 'user' else 'Response' }}:\n{{ m['content'] }}<|im_end|>\n\n",
        "{{ m['role'].upper() }}: {{ m['content'] }}<|im_end|>",
        "GPT4 Correct {{ m['role'].title() }}: {{ m['content'] }}<|im_end|>",
        "<|{{ m['role'] }}|>\n{{ m['content'] }}<|im_end|>\n",
        "<|im_start|>{{ m['role'] }}<|channel|>final<|message|>{{ m['content'] }}<|im_end|>",
        "{{ '问' if m['role'] == 'user' else '答' }}：{{ m['content'] }}<|im_end|>\n",
        "<start_of_role>{{ m['role'] }}<end_of_role>{{ m['content'] }}<tools></tools><|im_end|>",
    ],
)
def test_marks_and_names_of_roles_are_no_addition(turn: str) -> None:
    start = "{% set m = {'role': 'assistant'} %}" + turn.partition("{{ m['content'] }}")[0]
    source = (
        f"{{% for m in messages %}}{turn}{{% endfor %}}{{% if add_generation_prompt %}}{start}{{% endif %}}"
    )
    whole = (*ASKED, Message("assistant", "72"), Message("user", "And now?"))
    assert "How many?" in renderer(source).prompt(PromptTemplate("t"), whole).text


def test_a_chat_template_without_a_start_for_answers_is_an_error() -> None:
    """Trained, a model would write the header of its turn itself; asked, it would not be given it."""
    tokenizer = byte_level(CHATML.partition("{% if add_generation_prompt")[0])
    made = Renderer(tokenizer, markup_named("auto", tokenizer))
    turns = (Message("user", "How many?"), Message("assistant", "Two."))
    for render in (
        lambda: made.example(PromptTemplate("t"), turns),
        lambda: made.prompt(PromptTemplate("t"), turns[:1]),
    ):
        with pytest.raises(InputError, match=r"ignores `add_generation_prompt`(.|\n)*markup"):
            render()


@pytest.mark.parametrize("strip", [".strip('\\n')", ".lstrip('\\n')", ".rstrip('\\n')"])
def test_line_ends_that_are_trimmed_alone_are_noted(strip: str) -> None:
    tokenizer = byte_level(CHATML.replace("m['content']", f"m['content']{strip}"))
    made = Renderer(tokenizer, markup_named("auto", tokenizer))
    rendering = made.example(PromptTemplate("t"), (Message("user", "\n q \n"), Message("assistant", "Two.")))
    assert "trims white space around the user message" in rendering.notes[0]
