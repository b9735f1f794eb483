"""Two renderings beside each other, and the text of single tokens."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puretune.errors import InputError
from puretune.templates import (
    MARKUPS,
    Message,
    Renderer,
    chat_template_ids,
    differences,
    pieces,
    resolve_template,
)
from tests.small_tokenizers import LLAMA2, byte_level, sentencepiece

IDS = st.lists(st.integers(0, 5), max_size=12)
WHOLE = (Message("user", "How many?"), Message("assistant", "72"))


@given(left=IDS, right=IDS)
def test_differences_turn_one_side_into_the_other(left: list[int], right: list[int]) -> None:
    made, place = [], 0
    for found in differences(left, right):
        made += left[place : found.left.start] + right[found.right.start : found.right.stop]
        place = found.left.stop
    assert made + left[place:] == right


def test_the_same_ids_have_no_difference() -> None:
    assert differences([1, 2, 3], [1, 2, 3]) == []


@pytest.mark.parametrize("tokenizer", [byte_level(), sentencepiece()], ids=["byte-level", "sentencepiece"])
@pytest.mark.parametrize("text", ["How many clips?", "Größe 5  Natalia", "</s> x", "日本"])
def test_pieces_spell_the_whole_text(tokenizer: Any, text: str) -> None:
    ids = tokenizer(text)["input_ids"]
    spelled = pieces(tokenizer, ids)
    assert len(spelled) == len(ids)
    assert "".join(spelled).replace("\ufffd", "") == tokenizer.decode(ids)


def test_the_chat_templates_ids_are_transformers_own_even_where_it_strips() -> None:
    tokenizer, template = sentencepiece(LLAMA2), resolve_template("CA")
    chat = [{"role": m.role, "content": m.content} for m in template.turns(WHOLE)]
    own = chat_template_ids(tokenizer, template, WHOLE)
    assert list(own) == tokenizer.apply_chat_template(chat)["input_ids"]
    explicit = Renderer(tokenizer, MARKUPS["llama-2"]).example(template, WHOLE)
    assert differences(explicit.ids, own)


def test_a_chat_template_that_rejects_the_turns_is_an_error() -> None:
    tokenizer = byte_level("{{ raise_exception('never') }}")
    with pytest.raises(InputError, match="rejects the turns"):
        chat_template_ids(tokenizer, resolve_template("CV"), WHOLE)
