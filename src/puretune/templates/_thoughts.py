"""Thoughts: what a reasoning model writes before its answer, and what is done with them.

<think>
48 and half of it.
</think>

72
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from puretune.errors import InputError
from puretune.templates._message import Message
from puretune.visible import quoted

Thoughts = Literal["refuse", "strip", "train"]
"""``refuse``: an error where there are any; ``strip``: left out; ``train``: part of the trained response."""

MARKS: tuple[tuple[str, str], ...] = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
)
"""What opens and closes a thinking block, in the families that have one."""

CHOICES = (
    "Say in the study what to do with thoughts: `model: {thoughts: strip}` leaves them out; "
    "`model: {thoughts: train}` makes the thinking block part of the trained response."
)


@dataclass(frozen=True)
class ThinkingBlock:
    """The thoughts of one answer, and the marks around them."""

    text: str
    opens: str
    closes: str

    def spelled(self, opened: bool = False) -> str:
        """The block as it stands before an answer; without its first mark where the prompt ``opened`` it."""
        return f"{'' if opened else self.opens + chr(10)}{self.text}\n{self.closes}\n\n"


def thinking_in(text: str) -> tuple[ThinkingBlock | None, str]:
    """The thinking block that an answer begins with, if any, and the answer behind it.

    A block whose beginning stands in the prompt has its closing mark alone.
    """
    for opens, closes in MARKS:
        if closes not in text:
            continue
        thoughts, _, answer = text.partition(closes)
        head = thoughts.lstrip()
        if opens in head and not head.startswith(opens):
            continue  # words about thoughts, somewhere in the answer
        block = ThinkingBlock(head.removeprefix(opens).strip("\n"), opens, closes)
        return block, answer.lstrip("\n")
    return None, text


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
    """The policy; InputError for a word that is none."""
    if policy not in get_args(Thoughts):
        raise InputError(f"thoughts: {quoted(policy)} is not one of {', '.join(get_args(Thoughts))}.")
    return policy  # type: ignore[return-value]


def without_thoughts(messages: Sequence[Message], policy: Thoughts) -> tuple[Message, ...]:
    """The messages, their answers without thoughts; InputError where the policy refuses them."""
    return tuple(_answer_of(message, policy) for message in messages)


def _answer_of(message: Message, policy: Thoughts) -> Message:
    if message.role != "assistant":
        return message
    block, answer = thinking_in(message.content)
    if block is None:
        return message
    if policy == "refuse":
        raise InputError(
            f"an assistant message has thoughts, {quoted(block.text, 60)} before {block.closes}, and "
            f"nothing says what to do with them. {CHOICES}"
        )
    if not answer.strip():
        raise InputError(
            f"an assistant message has thoughts and no answer behind {block.closes}. Leave the row out."
        )
    return replace(message, content=answer)
