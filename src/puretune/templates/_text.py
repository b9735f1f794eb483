"""Text to ids with care: text that spells a special token stays text; ids can be shown to people."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from puretune.errors import InputError
from puretune.templates._message import GUARD, MARK, Message


class Guard:
    """Keeps what users write from becoming special tokens.

    Tokenizers turn every spelling of a special token into that token, wherever it is. So a Unicode
    noncharacter is put inside each such spelling in the *messages* (never in the markup) before the turns are
    spelled, and the tokens that stand for this character are taken out again after tokenisation: the rest
    spells the same text without the special token, and nothing else changes.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    @cached_property
    def _spellings(self) -> re.Pattern[str] | None:
        added = self.tokenizer.added_tokens_decoder.values()
        spelled = {str(t) for t in added if t.special or re.fullmatch(r"[<\[].*[>\]]", str(t))}
        spelled |= {str(t) for t in self.tokenizer.all_special_tokens}
        longest_first = sorted((s for s in spelled if len(s) > 1), key=len, reverse=True)
        return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def protect(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """The messages with every spelled special token broken up."""
        return tuple(
            replace(m, content=self._broken(m.content), tool_calls=self._broken(m.tool_calls))
            for m in messages
        )

    def require_text(self, message: Message) -> None:
        """InputError for a message that no tokenizer can be given."""
        for reserved in (GUARD, MARK):
            if reserved in message.content or reserved in message.tool_calls:
                raise InputError(f"the text has the noncharacter U+{ord(reserved):04X}; remove it.")
        try:
            message.content.encode()
        except UnicodeEncodeError:
            raise InputError(
                f"the {message.role} message holds half a character (a lone surrogate). Correct its encoding."
            ) from None

    def spelled(self, text: str) -> tuple[str, ...]:
        """The special tokens that a text spells, which are kept as text."""
        found = self._spellings.findall(text) if self._spellings else []
        return tuple(dict.fromkeys(found))

    def remove(self, text: str) -> str:
        """The text without the guards."""
        return text.replace(GUARD, "")

    def encode(self, text: str) -> tuple[int, ...]:
        """Ids of ``text`` without the guards' own."""
        if GUARD not in text:
            return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        if not self.tokenizer.is_fast:
            raise InputError(
                "the text spells a special token, which a tokenizer without offsets cannot keep as text. "
                "Remove it from the example, or use the model's fast tokenizer."
            )
        coded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        pairs = zip(coded["input_ids"], coded["offset_mapping"], strict=True)
        return tuple(id for id, (start, end) in pairs if text[start:end] != GUARD)

    def _broken(self, text: str) -> str:
        if self._spellings is None:
            return text
        return self._spellings.sub(lambda m: m.group()[0] + GUARD + m.group()[1:], text)


_SHOWN = 32


def show_tokens(tokenizer: Any, ids: Sequence[int]) -> str:
    """Ids with their tokens, for error messages: ``'Answer'(24) ':'(7)``; of many, both ends."""
    tokens = tokenizer.convert_ids_to_tokens(list(ids))
    shown = [f"{token!r}({id})" for token, id in zip(tokens, ids, strict=True)]
    left_out = len(shown) - _SHOWN
    if left_out > 1:
        shown[_SHOWN // 2 : -_SHOWN // 2] = [f"... {left_out} more ..."]
    return " ".join(shown) or "nothing"


def pieces(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    """The text that each id adds to the text before it; � stands for a part of a character."""
    found, said = [], ""
    for end in range(1, len(ids) + 1):
        whole = str(tokenizer.decode(list(ids[:end]), skip_special_tokens=False))
        if whole.endswith("\ufffd"):
            found.append("\ufffd")
        else:
            found.append(whole[len(said) :])
            said = whole
    return found
