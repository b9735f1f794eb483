"""Turn markup that is already in the texts: under any template it would appear twice.

[INST] Name a fern. [/INST]                        Llama 2, Mistral
<|im_start|>user ... <|im_end|>                    ChatML; <|user|>, <|start_header_id|>, <|eot_id|>, ...
### Instruction: ... ### Response:                 Alpaca's prompt
Human: ... Assistant:                              transcripts
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from puretune.data._example import Example
from puretune.errors import InputError
from puretune.files import read_mapping
from puretune.templates import Message
from puretune.thoughts import thinking_in
from puretune.visible import one_line

_TOKENS = r"""
    <[|｜][^\s<>|｜]{1,40}[|｜]>                        # <|im_start|>, <｜User｜>
  | \[/?(?:INST|SYS|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]
  | <</?SYS>>
  | </?(?:start|end)_of_(?:turn|image|text)>
  | <(?:bos|eos|extra_id_\d+|reserved_\d+)>
  | </s>\s*\Z
  | \[gMASK\]
  | ^\s*\#{2,3}\s?(?:Instruction|Response|Input|Human|Assistant|User|System)\s*:
  | \A\s*<?(?:Human|HUMAN|User|USER)>?\s*:(?=\s)
  | ^\s*<?(?:Assistant|ASSISTANT|Bot|bot|AI)>?\s*:\s*\Z
"""
_FLAGS = re.VERBOSE | re.MULTILINE
_MOST_MARKS, _MOST_SHOWN = 50, 6


@dataclass(frozen=True)
class Mark:
    """One piece of markup: in how many examples, and which is the first."""

    text: str
    examples: int
    first: str

    def __str__(self) -> str:
        return f"{one_line(self.text, 40)} ({self.examples:,}, first in {one_line(self.first, 60)})"


def marks_in(examples: Iterable[Example], special: Collection[str] = ()) -> tuple[Mark, ...]:
    """The turn markup in examples' texts, the most frequent first; ``special``: a model's own tokens."""
    pattern = _pattern(frozenset(special))
    counts: dict[str, list[Any]] = {}
    for example in examples:
        texts = [text for m in example.messages for text in _texts(m)]
        found = {mark.strip() for text in texts for mark in pattern.findall(text)}
        for mark in found:
            if mark in counts or len(counts) < _MOST_MARKS:
                counts.setdefault(mark, [0, example.id])[0] += 1
    ordered = sorted(counts.items(), key=lambda item: (-item[1][0], item[0]))
    return tuple(Mark(text, number, first) for text, (number, first) in ordered)


def _texts(message: Message) -> tuple[str, ...]:
    """A message's text; an answer's thoughts and what is behind them, without the marks between."""
    block, answer = thinking_in(message.content) if message.role == "assistant" else (None, message.content)
    return (block.text, answer) if block else (answer,)


def told(marks: Iterable[Mark]) -> str:
    """Marks for a message, the most frequent first."""
    found = list(marks)
    more = f" and {len(found) - _MOST_SHOWN} more" if len(found) > _MOST_SHOWN else ""
    return ", ".join(map(str, found[:_MOST_SHOWN])) + more


def check_no_markup(marks: Collection[Mark]) -> None:
    """InputError if there are marks: the template writes the markup, and it would appear twice."""
    if marks:
        raise InputError(
            f"the texts already contain turn markup: {told(marks)} examples. A template adds its own. "
            "Remove it from the data, or keep the texts as they are with `markup: keep`."
        )


def special_tokens(model: Path | None) -> frozenset[str]:
    """The special tokens of a model directory's tokenizer; none if there is no directory.

    InputError if its ``tokenizer.json`` is malformed.
    """
    file = model / "tokenizer.json" if model is not None else None
    if file is None or not file.is_file():
        return frozenset()
    added = read_mapping(file).get("added_tokens")
    tokens = [t for t in added if isinstance(t, dict)] if isinstance(added, list) else []
    contents = [t.get("content") for t in tokens if t.get("special")]
    return frozenset(text for text in contents if isinstance(text, str) and _is_distinct(text))


def _is_distinct(text: str) -> bool:
    """Whether a token is not ordinary text: three characters and a sign among them."""
    return len(text.strip()) >= 3 and any(not (char.isalnum() or char.isspace()) for char in text)


@lru_cache(maxsize=8)
def _pattern(special: frozenset[str]) -> re.Pattern[str]:
    own = "".join(f" | {re.escape(token)}" for token in sorted(special, key=len, reverse=True))
    return re.compile(f"(?:{_TOKENS}{own})", _FLAGS)
