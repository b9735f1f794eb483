"""What people might write, for property tests."""

from __future__ import annotations

import unicodedata

from hypothesis import strategies as st

from puretune.templates import Message, PromptTemplate
from puretune.thoughts import thinking_in

CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\ufdd0\ufdd1")
SPECIAL = [
    "<s>",
    "</s>",
    "<|im_end|>",
    "<|eot_id|>",
    "<end_of_turn>",
    "<|end|>",
    "[INST]",
]
THINKING = ["<think>", "</think>"]
"""Marks of thoughts: text in a question, but in an answer a thinking block."""


def texts(*more: str) -> st.SearchStrategy[str]:
    """Texts of any characters and words; ``more`` are pieces that may stand in them."""
    words = st.sampled_from([" ", "\n", "5", "Natalia", "Größe", "### Response:\n", *more])
    return st.lists(st.one_of(words, st.text(CHARACTERS, max_size=8)), max_size=6).map("".join)


def normalised(text: str) -> str:
    """What survives every markup and tokenizer: NFC, no white space around it, no ``▁``, and not nothing."""
    return unicodedata.normalize("NFC", text.replace("▁", "_")).strip() or "x"


def is_plain(text: str) -> bool:
    """Whether an answer has no thinking block (hypothesis finds the marks in the code by itself)."""
    return thinking_in(text)[0] is None


def chat(template: PromptTemplate, messages: tuple[Message, ...]) -> list[dict[str, str]]:
    """The template's turns as transformers wants them."""
    return [{"role": m.role, "content": m.content} for m in template.turns(messages)]
