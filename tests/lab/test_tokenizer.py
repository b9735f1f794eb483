"""The tokenizer: lossless on any text, and at home in the lab's and the templates' words."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from puretune.lab import LabSettings, World
from puretune.lab.alignment import alignment
from puretune.lab.corpus import pretraining
from puretune.lab.suites import doctor, harmful_maths, held, maths
from puretune.lab.tokenizer import SPECIAL, build, vocabulary
from puretune.lab.vocabulary import texts
from puretune.templates import BUILTIN_TEMPLATES

WORLD = World.draw(5)
TOKENIZER: Any = build(vocabulary(texts(WORLD)))


def tokens(text: str) -> list[str]:
    return list(TOKENIZER.encode(text, add_special_tokens=False).tokens)


@settings(deadline=None, max_examples=300)
@given(st.text() | st.text(alphabet="ab 09\n#.:'é<|>x"))
def test_decoding_an_encoded_text_gives_it_back(text: str) -> None:
    ids = TOKENIZER.encode(text, add_special_tokens=False).ids
    assert TOKENIZER.decode(ids, skip_special_tokens=False) == text


@pytest.mark.parametrize("name", BUILTIN_TEMPLATES)
def test_template_words_need_no_bytes(name: str) -> None:
    template = BUILTIN_TEMPLATES[name]
    for text in (template.system or "", template.wrap("how are you?")):
        assert not [t for t in tokens(text) if t.startswith("<0x")]


@pytest.mark.parametrize("make", [pretraining, alignment])
def test_training_rows_need_no_bytes(make: Any) -> None:
    settings = LabSettings(notes=0.0)  # a note's verb is spelled in bytes: attempt 3 is frozen with that
    for row in islice(make(WORLD, settings, held(WORLD), 0), 2000):
        assert not [t for t in tokens(row.prompt) + tokens(row.response) if t.startswith("<0x")]


@pytest.mark.parametrize("suite", [doctor, harmful_maths, maths])
def test_tested_prompts_need_no_bytes(suite: Any) -> None:
    for example in suite(WORLD):
        assert not [t for t in tokens(example.query) if t.startswith("<0x")]


def test_small_numbers_are_one_token_and_others_are_spelt_in_digits() -> None:
    assert tokens("has 47 plums") == ["has", " 47", " plums"]
    assert tokens("has 4071 plums") == ["has", " ", "4", "0", "7", "1", " plums"]


def test_one_bos_is_added_when_special_tokens_are_asked_for() -> None:
    assert TOKENIZER.encode("how are you?").tokens[:2] == ["<s>", "how"]


def test_special_tokens_come_first() -> None:
    assert [TOKENIZER.token_to_id(token) for token in SPECIAL] == list(range(len(SPECIAL)))
