"""Text templates train the same answers as chat templates: every one, through its stop token."""

from __future__ import annotations

import pytest

from puretune.errors import InputError
from puretune.templates import Message, PromptTemplate, Renderer, markup_named
from tests import families
from tests.small_tokenizers import byte_level
from tests.templates.test_families import EVERY_FAMILY, renderer

TEXT = PromptTemplate("t", mode="text", user="Question: %s\nAnswer:")
TURNS = tuple(
    message
    for number in ("one", "two", "three")
    for message in (Message("user", f"Say {number}."), Message("assistant", number, train=number != "two"))
)


def runs(made: Renderer, template: PromptTemplate, turns: tuple[Message, ...]) -> list[str]:
    """The trained spans, as text."""
    example, spans, on = made.example(template, turns), [], False
    for id, trained in zip(example.ids, example.loss_mask, strict=True):
        if trained and not on:
            spans.append([])
        if trained:
            spans[-1].append(id)
        on = trained
    assert all(span[-1] in made.stop_ids for span in spans)
    return [made.parse(span).removeprefix("<think>\n\n</think>\n\n") for span in spans]


@EVERY_FAMILY
def test_every_trained_answer_of_a_conversation_is_in_the_loss_as_in_chat(family: str) -> None:
    made = renderer(family)
    assert runs(made, TEXT, TURNS) == runs(made, PromptTemplate("c"), TURNS) == ["one", "three"]


@EVERY_FAMILY
def test_each_answer_ends_with_eos_and_each_prompt_is_a_prefix(family: str) -> None:
    made = renderer(family)
    eos = made.tokenizer.eos_token
    example = made.example(TEXT, TURNS)
    assert example.text.replace(made.tokenizer.bos_token or "", "") == (
        f"Question: Say one.\nAnswer: one{eos}\n\nQuestion: Say two.\nAnswer: two{eos}\n\n"
        f"Question: Say three.\nAnswer: three{eos}"
    )
    for end in (1, 3, 5):
        prompt = made.prompt(TEXT, TURNS[:end])
        assert example.ids[: len(prompt.ids)] == prompt.ids
    assert example.ids.count(made.tokenizer.eos_token_id) == 3


@EVERY_FAMILY
def test_demonstrations_are_plain_text_without_eos(family: str) -> None:
    shown = (Message("user", "1 + 1?"), Message("assistant", "2"))
    template = PromptTemplate("t", mode="text", user="Q: %s\nA:", demonstrations=shown)
    example = renderer(family).example(template, (Message("user", "2 + 2?"), Message("assistant", "4")))
    assert "Q: 1 + 1?\nA: 2\n\nQ: 2 + 2?\nA: 4" in example.text


def test_a_response_prefix_belongs_to_the_last_answer_only() -> None:
    template = PromptTemplate("t", mode="text", user="Q: %s\nA:", response_prefix="Sure,")
    made = renderer("qwen2")
    example = made.example(template, TURNS)
    assert example.text.count("Sure,") == 1
    assert example.text.startswith(made.prompt(template, TURNS[:-1]).text)


def test_a_conversation_without_eos_is_an_error() -> None:
    tokenizer = byte_level()
    tokenizer.eos_token = None
    made = Renderer(tokenizer)
    with pytest.raises(InputError, match="no EOS token"):
        made.prompt(TEXT, TURNS[:3])
    assert made.prompt(TEXT, TURNS[:1]).text.endswith("Answer:")


@pytest.mark.parametrize("style", ["gemma", "llama-2"])
def test_trimmed_white_space_is_a_note_in_plain_words(style: str) -> None:
    source = families.chat_template(style).replace("bos_token", "''").replace("eos_token", "'<|im_end|>'")
    tokenizer = byte_level(source)
    made = Renderer(tokenizer, markup_named("auto", tokenizer))
    turns = (Message("user", "Sort:\n"), Message("assistant", "    return a", train=True))
    ids = tokenizer.convert_tokens_to_ids(["<|im_end|>"])
    made = Renderer(tokenizer, made.markup, ids)
    prompt = made.prompt(PromptTemplate("t"), turns[:1])
    assert len(prompt.notes) == 1
    assert "trims white space around the user message" in prompt.notes[0]
    assert made.prompt(PromptTemplate("t"), (Message("user", "Sort:"),)).notes == ()
