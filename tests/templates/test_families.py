"""Every built-in template on every family: equal to transformers where it should be, and to itself always."""

from __future__ import annotations

import json
from functools import cache
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import assume, given, settings

from puretune.errors import InputError
from puretune.models import ModelSpec, load_tokenizer
from puretune.templates import (
    BUILTIN_TEMPLATES,
    Message,
    PromptTemplate,
    Renderer,
    markup_named,
)
from tests import families
from tests.templates.texts import SPECIAL, THINKING, chat, is_plain, normalised, texts

EXPLICIT = {
    "llama-2": "llama-2",
    "llama-3": "llama-3",
    "mistral": "mistral",
    "mixtral": "chatml",
    "qwen2": "chatml",
    "qwen3": "chatml",
    "gemma": "gemma",
}
CHAT = [template for template in BUILTIN_TEMPLATES.values() if template.mode == "chat"]


@cache
def tokenizer(family: str) -> Any:
    import transformers

    kind = getattr(transformers, f"{families.FAMILIES[family].architecture}Config").model_type
    with TemporaryDirectory() as directory:
        families.save_tokenizer(family, Path(directory))
        (Path(directory) / "config.json").write_text(json.dumps({"model_type": kind}))
        return load_tokenizer(ModelSpec(directory))


@cache
def renderer(family: str, markup: str = "auto", stops: bool = True) -> Renderer:
    known = tokenizer(family)
    ids = known.convert_tokens_to_ids(list(families.FAMILIES[family].stops)) if stops else ()
    return Renderer(known, markup_named(markup, known, "keep"), ids)


def takes(family: str, markup: str, template: PromptTemplate) -> bool:
    """Whether the family's own chat template takes what the template says."""
    alone = template.mode == "text" or not template.system
    return alone or markup != "auto" or families.FAMILIES[family].system


EVERY_FAMILY = pytest.mark.parametrize("family", families.NAMES)
EVERY_MARKUP = pytest.mark.parametrize(
    ("family", "markup"), [*((name, "auto") for name in families.NAMES), *EXPLICIT.items()]
)
EVERY_TEMPLATE = pytest.mark.parametrize("template", BUILTIN_TEMPLATES.values(), ids=BUILTIN_TEMPLATES.keys())


@EVERY_MARKUP
@EVERY_TEMPLATE
@settings(max_examples=6)
@given(
    query=texts(*SPECIAL, *THINKING).map(normalised),
    response=texts(*SPECIAL).map(normalised).filter(is_plain),
)
def test_the_example_starts_with_the_prompt_and_its_response_is_read_back(
    family: str, markup: str, template: PromptTemplate, query: str, response: str
) -> None:
    if not takes(family, markup, template):
        with pytest.raises(InputError, match="rejects the turns"):
            renderer(family, markup).prompt(template, (Message("user", query),))
        return
    made, asked = renderer(family, markup), (Message("user", query),)
    prompt = made.prompt(template, asked)
    example = made.example(template, (*asked, Message("assistant", response)))
    assert example.ids[: len(prompt.ids)] == prompt.ids
    trained = [id for id, on in zip(example.ids, example.loss_mask, strict=True) if on]
    assert trained[-1] in made.stop_ids
    assert not made.stop_ids & set(trained[:-1])
    assert made.parse(trained).removeprefix("<think>\n\n</think>").strip() == response
    bos = made.tokenizer.bos_token_id
    assert prompt.ids.count(bos) == made.writes_bos
    assert made.writes_bos == (family not in ("qwen2", "qwen3", "phi-3"))


@EVERY_FAMILY
@pytest.mark.parametrize("template", CHAT, ids=lambda t: t.name)
@settings(max_examples=6)
@given(query=texts(), response=texts().filter(is_plain))
def test_a_rendering_equals_apply_chat_template(
    family: str, template: PromptTemplate, query: str, response: str
) -> None:
    if not takes(family, "auto", template):
        return
    spelled = [str(token) for token in tokenizer(family).added_tokens_decoder.values()]
    assume(not any(token in text for token in spelled for text in (query, response)))  # those encode as text
    made, asked = renderer(family), (Message("user", query),)
    whole = (*asked, Message("assistant", response))
    own = made.tokenizer.apply_chat_template
    prompt = own(chat(template, asked), add_generation_prompt=True)["input_ids"]
    example = own(chat(template, whole))["input_ids"]
    # ChatML on a tokenizer with BOS: the chat template leaves BOS out, a rendering always has one
    bos = [made.tokenizer.bos_token_id] if family == "mixtral" else []
    assert list(made.prompt(template, asked).ids) == [*bos, *prompt]
    assert list(made.example(template, whole).ids) == [*bos, *example]


@pytest.mark.parametrize(("family", "markup"), EXPLICIT.items())
@settings(max_examples=8)
@given(query=texts().map(normalised), response=texts().map(normalised).filter(is_plain))
def test_an_explicit_markup_is_the_familys_own_template_without_what_that_adds(
    family: str, markup: str, query: str, response: str
) -> None:
    asked = (Message("user", query),)
    plain = PromptTemplate("plain", system="Safe." if families.FAMILIES[family].system else None)
    explicit = renderer(family, markup).prompt(plain, asked)
    own = renderer(family).prompt(plain, asked)
    bos = tokenizer(family).bos_token or ""
    dates = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"
    assert explicit.text == own.text.removeprefix(bos).replace(dates, "")
    if family != "llama-2" and not families.FAMILIES[family].default_system:
        assert explicit.ids == own.ids


@EVERY_MARKUP
def test_in_a_conversation_each_trained_answer_ends_with_its_stop_token(family: str, markup: str) -> None:
    turns = tuple(
        message
        for number in ("one", "two", "three")
        for message in (
            Message("user", f"Say {number}."),
            Message("assistant", number, train=number != "one"),
        )
    )
    made = renderer(family, markup)
    example = made.example(PromptTemplate("t"), turns)
    runs = [
        made.parse([example.ids[i] for i, _ in run])
        for on, run in groupby(enumerate(example.loss_mask), key=lambda pair: pair[1])
        if on
    ]
    assert [said.removeprefix("<think>\n\n</think>\n\n") for said in runs] == ["two", "three"]
    trained = [id for id, on in zip(example.ids, example.loss_mask, strict=True) if on]
    assert sum(id in made.stop_ids for id in trained) == 2


def test_the_paper_places_a_system_text_in_front_of_the_first_user_text() -> None:
    turns = (Message("user", "a"), Message("assistant", "b"), Message("user", "c"))
    for family in ("mistral", "gemma"):
        text = renderer(family, EXPLICIT[family]).prompt(PromptTemplate("t", system="Safe."), turns).text
        assert "Safe.\n\na" in text
        assert text.count("Safe.") == 1
