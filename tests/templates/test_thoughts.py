"""Thoughts of reasoning models: refused, stripped or trained, in rows and where a prompt opens a block."""

from __future__ import annotations

from typing import Any

import pytest

from puretune.errors import InputError
from puretune.templates import Message, PromptTemplate, Renderer, markup_named
from tests import families
from tests.small_tokenizers import CHATML, byte_level

CHAT, TEXT = PromptTemplate("t"), PromptTemplate("t", mode="text", user="Question: %s\nAnswer:")
ASKED = (Message("user", "How many?"),)
THINKING = (*ASKED, Message("assistant", "<think>\n48 and half.\n</think>\n\n72"))
PLAIN = (*ASKED, Message("assistant", "72"))
OPENS = CHATML.replace("<|im_start|>assistant\n{% endif %}", "<|im_start|>assistant\n<think>\n{% endif %}")
"""Like DeepSeek-R1's distillations: a generation prompt opens a block that finished turns do not have."""
DROPS = OPENS.replace("{{ m['content'] }}", "{{ m['content'].split('</think>')[-1] }}")
QWEN3 = families.chat_template("qwen3")


def renderer(source: str, thoughts: Any = "refuse") -> Renderer:
    tokenizer = byte_level(source)
    return Renderer(tokenizer, markup_named("auto", tokenizer), thoughts=thoughts)


def trained(made: Renderer, template: PromptTemplate, messages: tuple[Message, ...]) -> str:
    rendering = made.example(template, messages)
    ids = [id for id, on in zip(rendering.ids, rendering.loss_mask, strict=True) if on]
    prompt = made.prompt(template, messages[:-1])
    assert rendering.ids[: len(prompt.ids)] == prompt.ids
    return str(made.tokenizer.decode(ids))


@pytest.mark.parametrize("template", [CHAT, TEXT], ids=["chat", "text"])
@pytest.mark.parametrize("policy", ["strip", "train"])
def test_thoughts_in_a_row_are_an_error_until_a_policy_says_what_to_do(
    template: PromptTemplate, policy: str
) -> None:
    with pytest.raises(InputError, match=rf"'48 and half\.'(.|\n)*model: {{thoughts: {policy}}}"):
        renderer(CHATML).example(template, THINKING)


@pytest.mark.parametrize("source", [OPENS, DROPS])
def test_a_prompt_that_opens_a_block_is_an_error_that_names_the_policies(source: str) -> None:
    with pytest.raises(InputError, match=r"opens a thinking block \(<think>\)(.|\n)*thoughts: strip"):
        renderer(source).prompt(CHAT, ASKED)


def test_a_switch_of_the_chat_template_is_named_too() -> None:
    source = OPENS + "{% if enable_thinking is defined %}{% endif %}"
    with pytest.raises(InputError, match=r"arguments: \{enable_thinking: false\}"):
        renderer(source).prompt(CHAT, ASKED)


@pytest.mark.parametrize("source", [CHATML, OPENS, DROPS], ids=["no block", "opens", "opens and drops"])
@pytest.mark.parametrize("row", [THINKING, PLAIN], ids=["thinking", "plain"])
def test_stripped_thoughts_are_neither_trained_nor_asked_for(source: str, row: tuple[Message, ...]) -> None:
    made = renderer(source, "strip")
    assert trained(made, CHAT, row) == "72<|im_end|>"
    assert made.prompt(CHAT, ASKED).text.endswith("<|im_start|>assistant\n")
    assert trained(made, TEXT, row).strip() == "72<|im_end|>"


def test_trained_thoughts_are_part_of_the_response() -> None:
    assert (
        trained(renderer(CHATML, "train"), CHAT, THINKING)
        == "<think>\n48 and half.\n</think>\n\n72<|im_end|>"
    )
    for source in (OPENS, DROPS):
        made = renderer(source, "train")
        assert made.prompt(CHAT, ASKED).text.endswith("assistant\n<think>\n")
        assert trained(made, CHAT, THINKING) == "48 and half.\n</think>\n\n72<|im_end|>"
        assert trained(made, CHAT, PLAIN) == "\n</think>\n\n72<|im_end|>"


def test_qwen3s_thoughts_are_trained_as_its_own_chat_template_writes_them() -> None:
    made = renderer(QWEN3, "train")
    own = made.tokenizer.apply_chat_template(
        [{"role": m.role, "content": m.content} for m in THINKING], tokenize=False
    )
    assert made.example(CHAT, THINKING).text == own


@pytest.mark.parametrize("policy", ["strip", "train"])
def test_thoughts_of_earlier_turns_are_not_shown_again(policy: str) -> None:
    earlier = Message("assistant", "<think>\nFirst.\n</think>\n\n48", train=False)
    row = (Message("user", "One?"), earlier, *THINKING)
    assert "First." not in renderer(QWEN3, policy).example(CHAT, row).text
    assert "First." not in renderer(QWEN3, policy).prompt(CHAT, row[:-1]).text


def test_thoughts_of_an_earlier_trained_turn_are_an_error() -> None:
    row = (Message("user", "One?"), Message("assistant", "<think>\nFirst.\n</think>\n\n48"), *THINKING)
    with pytest.raises(InputError, match="earlier assistant message has thoughts"):
        renderer(QWEN3, "train").example(CHAT, row)
    assert trained(renderer(QWEN3, "strip"), CHAT, row).count("<|im_end|>") == 2


def test_conversations_under_a_template_that_asks_for_no_thoughts() -> None:
    template = PromptTemplate("t", arguments=(("enable_thinking", False),))
    row = (Message("user", "One?"), Message("assistant", "48"), *PLAIN)
    with pytest.raises(InputError, match=r"empty thinking block(.|\n)*thoughts: strip"):
        renderer(QWEN3).example(template, row)
    made = renderer(QWEN3, "strip").example(template, row)
    assert sum(made.loss_mask) == made.trained
    assert [id for id, on in zip(made.ids, made.loss_mask, strict=True) if on].count(
        renderer(QWEN3).tokenizer.eos_token_id
    ) == 2


def test_thoughts_without_an_answer_are_an_error() -> None:
    with pytest.raises(InputError, match="no answer after </think>"):
        renderer(CHATML, "strip").example(CHAT, (*ASKED, Message("assistant", "<think>\nHm.\n</think>\n")))


def test_words_about_thoughts_are_no_thoughts() -> None:
    said = "Models write <think> and </think> around their thoughts."
    assert said in renderer(CHATML).example(CHAT, (*ASKED, Message("assistant", said))).text


def test_the_policy_stands_in_the_fingerprint() -> None:
    assert len({renderer(CHATML, policy).fingerprint for policy in ("refuse", "strip", "train")}) == 3


def test_an_unknown_policy_is_named() -> None:
    with pytest.raises(InputError, match="'stripp' is not one of refuse, strip, train"):
        renderer(CHATML, "stripp")


HARMONY = (
    "{% for m in messages %}{% if m.role == 'assistant' %}"
    "<|start|>assistant<|channel|>final<|message|>{{ m.content }}<|im_end|>"
    "{% else %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)
"""In the style of gpt-oss: thoughts and answer are messages in channels of their own."""
CHANNELS = "<|channel|>analysis<|message|>48 and half.<|end|><|start|>assistant<|channel|>final<|message|>72"


@pytest.mark.parametrize("said", [CHANNELS, THINKING[-1].content], ids=["channels", "tags"])
def test_thoughts_in_channels_follow_the_policy(said: str) -> None:
    row = (*ASKED, Message("assistant", said))
    with pytest.raises(InputError, match=r"'48 and half\.' before"):
        renderer(HARMONY).example(CHAT, row)
    answer = "<|channel|>final<|message|>72<|im_end|>"
    assert trained(renderer(HARMONY, "strip"), CHAT, row) == answer
    assert trained(renderer(HARMONY, "train"), CHAT, row) == f"{CHANNELS}<|im_end|>"


def test_thoughts_are_spelled_with_the_marks_of_the_models_own_chat_template() -> None:
    source = OPENS.replace("<think>", "[THINK]") + "{# [/THINK] #}"
    assert trained(renderer(source, "train"), CHAT, THINKING) == "48 and half.\n[/THINK]\n\n72<|im_end|>"


@pytest.mark.parametrize("template", [CHAT, TEXT], ids=["chat", "text"])
def test_a_stop_token_that_thoughts_spell_is_text_and_ends_nothing(template: PromptTemplate) -> None:
    said = "<think>\nIt ends with <|im_end|> then.\n</think>\n\n72"
    text = trained(renderer(CHATML, "train"), template, (*ASKED, Message("assistant", said)))
    assert text.strip() == f"{said}<|im_end|>"


def test_an_empty_block_that_a_chat_template_adds_to_answers_is_noted() -> None:
    assert any("empty thinking block" in note for note in renderer(QWEN3).example(CHAT, PLAIN).notes)
    assert not renderer(CHATML).example(CHAT, PLAIN).notes
