"""Two renderings compared, and one compared with what ``apply_chat_template`` makes of the same turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from puretune.templates._chat_template import TokenizerMarkup
from puretune.templates._message import Message
from puretune.templates._prompt_template import PromptTemplate
from puretune.templates._text import Guard


@dataclass(frozen=True)
class Difference:
    """Where two sequences of token ids differ: ``left[start:end]`` takes the place of
    ``right[start:end]``."""

    left: range
    right: range


def differences(left: Sequence[int], right: Sequence[int]) -> list[Difference]:
    """The places where two sequences of token ids differ, in their order; empty if they are the same."""
    matcher = SequenceMatcher(None, left, right, autojunk=False)
    return [
        Difference(range(i, j), range(k, n)) for tag, i, j, k, n in matcher.get_opcodes() if tag != "equal"
    ]


def chat_template_ids(
    tokenizer: Any, template: PromptTemplate, messages: Sequence[Message]
) -> tuple[int, ...]:
    """What the tokenizer's ``apply_chat_template`` makes of the template's turns: whatever it adds, drops or
    trims, and with special tokens where a text spells one.

    InputError if the chat template rejects the turns.
    """
    own = TokenizerMarkup(tokenizer, default_system="keep")
    text = own.render(template.turns(messages), False, dict(template.arguments))
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])


def special_spellings(tokenizer: Any, message: Message) -> tuple[str, ...]:
    """The special tokens that a message spells, which a rendering keeps as text."""
    return Guard(tokenizer).spelled(message.content)
