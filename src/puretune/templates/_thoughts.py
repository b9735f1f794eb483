"""Thoughts: what a reasoning model writes before its answer, and what is done with them.

<think>
48 and half of it.
</think>

72
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

from puretune.errors import InputError
from puretune.templates._message import Message
from puretune.thoughts import MARKS, thinking_in
from puretune.visible import quoted

Thoughts = Literal["refuse", "strip", "train"]
"""``refuse``: an error if there are any; ``strip``: left out; ``train``: part of the trained response."""

CHOICES = (
    "Say in the study what to do with thoughts: `model: {thoughts: strip}` leaves them out; "
    "`model: {thoughts: train}` makes the thinking block part of the trained response."
)


def opened_block(prompt: str) -> str:
    """The thinking block that a prompt opens and leaves open at its end; "" for none."""
    opens = "|".join(re.escape(mark) for mark, _ in MARKS)
    found = re.search(rf"(?:{opens})\s*$", prompt)
    return found.group() if found else ""


def closed_block(prompt: str) -> str:
    """The empty thinking block that a prompt ends with, which asks for no thoughts; "" for none."""
    pairs = "|".join(rf"{re.escape(a)}\s*{re.escape(b)}" for a, b in MARKS)
    found = re.search(rf"(?:{pairs})\s*$", prompt)
    return found.group() if found else ""


def closing_of(opened: str) -> str:
    """What closes the thinking block that a prompt opened."""
    return dict(MARKS)[opened.strip()]


def checked_policy(policy: str) -> Thoughts:
    """The policy; InputError for an unknown word."""
    if policy not in get_args(Thoughts):
        raise InputError(f"thoughts: {quoted(policy)} is not one of {', '.join(get_args(Thoughts))}.")
    return policy  # type: ignore[return-value]


def without_thoughts(messages: Sequence[Message], policy: Thoughts) -> tuple[Message, ...]:
    """The messages, their answers without thoughts; InputError if the policy refuses them."""
    return tuple(_answer_of(message, policy) for message in messages)


def _answer_of(message: Message, policy: Thoughts) -> Message:
    if message.role != "assistant":
        return message
    block, answer = thinking_in(message.content)
    if block is None:
        return message
    if policy == "refuse":
        raise InputError(
            f"an assistant message has thoughts, {quoted(block.text, 60)} before {block.ends}, and "
            f"nothing says what to do with them. {CHOICES}"
        )
    if not answer.strip():
        raise InputError(
            f"an assistant message has thoughts and no answer after {block.ends}. Leave the row out."
        )
    return replace(message, content=answer)
