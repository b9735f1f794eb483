"""Token for token what ``mistral-common`` makes, on the real vocabulary of Mistral 7B Instruct v0.2."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from puretune.models import ModelSpec, renderer_for
from puretune.templates import (
    BUILTIN_TEMPLATES,
    MARKUPS,
    Message,
    PromptTemplate,
    Renderer,
    markup_named,
    resolve_template,
)
from tests.real_tokenizers import save_mistral
from tests.templates.texts import SPECIAL, is_plain, normalised, texts

PLAIN = PromptTemplate("plain")
# hypothesis finds the spellings of special tokens by itself; those are for another test
SAID = (
    texts().map(normalised).filter(lambda text: not any(special in text for special in ("<unk>", *SPECIAL)))
)
EXCHANGES = st.lists(st.tuples(SAID, SAID.filter(is_plain)), min_size=1, max_size=3)


@pytest.fixture(scope="module")
def later_files(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The tokenizer as later conversions have it: a blank at the very start only."""
    path = save_mistral(tmp_path_factory.mktemp("later") / "model", blank_after_special=False)
    return renderer_for(ModelSpec(str(path), markup="mistral"))


@cache
def reference(training: bool) -> Any:
    import mistral_common
    from mistral_common.protocol.instruct.validator import ValidationMode
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

    mode = ValidationMode.finetuning if training else ValidationMode.test
    file = Path(mistral_common.__file__).parent / "data" / "tokenizer.model.v1"
    return MistralTokenizer.from_file(str(file), mode=mode)


def expected(turns: tuple[Message, ...]) -> tuple[int, ...]:
    """What mistral-common makes of the turns."""
    from mistral_common.protocol.instruct.messages import AssistantMessage, SystemMessage, UserMessage
    from mistral_common.protocol.instruct.request import ChatCompletionRequest

    kinds = {"system": SystemMessage, "user": UserMessage, "assistant": AssistantMessage}
    training = turns[-1].role == "assistant"
    messages = [kinds[turn.role](content=turn.content) for turn in turns]
    return tuple(reference(training).encode_chat_completion(ChatCompletionRequest(messages=messages)).tokens)


def conversation(exchanges: list[tuple[str, str]]) -> tuple[Message, ...]:
    return tuple(m for q, a in exchanges for m in (Message("user", q), Message("assistant", a)))


def both(mistral: Any) -> list[Renderer]:
    return [Renderer(mistral, MARKUPS["mistral"]), Renderer(mistral, markup_named("auto", mistral))]


@settings(max_examples=60)
@given(exchanges=EXCHANGES)
def test_conversations_are_mistral_commons_tokens(mistral: Any, exchanges: list[tuple[str, str]]) -> None:
    turns = conversation(exchanges)
    for renderer in both(mistral):
        assert renderer.example(PLAIN, turns).ids == expected(turns)
        assert renderer.prompt(PLAIN, turns[:-1]).ids == expected(turns[:-1])


@settings(max_examples=30)
@given(exchanges=EXCHANGES)
def test_a_tokenizer_with_a_blank_at_the_start_only_gives_the_same_tokens(
    later_files: Renderer, exchanges: list[tuple[str, str]]
) -> None:
    turns = conversation(exchanges)
    assert later_files.example(PLAIN, turns).ids == expected(turns)


@pytest.mark.parametrize(
    "template", [t for t in BUILTIN_TEMPLATES.values() if t.mode == "chat"], ids=lambda t: t.name
)
def test_the_papers_templates_are_mistral_commons_tokens(mistral: Any, template: PromptTemplate) -> None:
    messages = (Message("user", "How many clips did Natalia sell?"), Message("assistant", "72\n#### 72"))
    made = Renderer(mistral, MARKUPS["mistral"]).example(template, messages)
    assert made.ids == expected(template.turns(messages))


def test_the_vocabulary_is_the_real_one(mistral: Any) -> None:
    assert len(mistral) == 32_000
    ids = Renderer(mistral, MARKUPS["mistral"]).prompt(resolve_template("CV"), (Message("user", "Hi"),)).ids
    assert mistral.convert_ids_to_tokens(list(ids[:7])) == ["<s>", "▁[", "INST", "]", "▁Question", ":", "▁Hi"]
