"""Text mode: no turn markup. Turns are paragraphs, and every answer of a conversation ends with EOS.

Question: 2 + 2?\nAnswer: 4</s>\n\nQuestion: 3 + 3?\nAnswer: 6</s>
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from puretune.errors import InputError
from puretune.templates._frame import Layout
from puretune.templates._message import Message
from puretune.templates._prompt_template import PromptTemplate


def text_layout(
    tokenizer: Any, template: PromptTemplate, turns: Sequence[Message], generation: bool = False
) -> Layout:
    """The turns as text; the last answer's EOS is left to the caller, a demonstration's answer has none.

    ``generation``: with the response that the template begins. InputError for a conversation on a tokenizer
    without EOS, where an answer would not end.
    """
    first = len(turns) - len(_conversation(template, turns))
    pieces: list[str] = []
    said: list[str] = []
    before = ""
    for place, turn in enumerate(turns):
        if turn.role == "assistant":
            last = place == len(turns) - 1 and not generation
            before += separator(template, said[-1] if said else "")
            before += template.response_prefix if last else ""
        elif said:
            before += "\n\n"
        pieces.append(before)
        said.append(turn.content)
        before = _end(tokenizer) if turn.role == "assistant" and first <= place < len(turns) - 1 else ""
    if generation and template.response_prefix:
        before += separator(template, said[-1]) + template.response_prefix
    return Layout((*pieces, before), tuple(said))


def _conversation(template: PromptTemplate, turns: Sequence[Message]) -> Sequence[Message]:
    """The turns after system prompt and demonstrations."""
    system = sum(turn.role == "system" for turn in turns[:1])
    return turns[system + len(template.demonstrations) :]


def _end(tokenizer: Any) -> str:
    if tokenizer.eos_token is None:
        raise InputError(
            "the tokenizer has no EOS token, so in text mode an answer inside a conversation would not end. "
            "Use a chat template, or rows of one question and one answer."
        )
    return str(tokenizer.eos_token)


def separator(template: PromptTemplate, before: str) -> str:
    """What comes between a prompt and its response."""
    if template.separator is not None:
        return template.separator
    return "" if not before or before[-1].isspace() else " "
