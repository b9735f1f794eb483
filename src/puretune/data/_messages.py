"""Turns as they stand in files -> messages to render: known roles, no empty text, turns that alternate.

{"role": "assistant", "content": "Two.", "weight": 0}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from puretune.errors import InputError, unknown
from puretune.templates import Message, Role

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
}
"""OpenAI's and ShareGPT's names of roles (OpenAI's newer models say developer for system)."""


def conversation(
    turns: Sequence[Any], where: str, role: str = "role", content: str = "content"
) -> tuple[Message, ...]:
    """The messages of one conversation: perhaps a system message, then user and assistant in turn.

    ``role`` and ``content`` are the names of a turn's fields. InputError names the row and the turn.
    """
    messages = tuple(
        _message(turn, f"{where}: turn {n}", role, content) for n, turn in enumerate(turns, start=1)
    )
    _check_order(messages, where)
    return messages


def plain_text(value: Any, where: str) -> str:
    """A non-empty string that UTF-8 can hold; InputError otherwise."""
    if not isinstance(value, str):
        kind = "null" if value is None else type(value).__name__
        raise InputError(f"{where} is {kind}; it must be text.")
    if not value.strip():
        raise InputError(f"{where} is empty. Fill it in, or leave the row out.")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            f"{where} holds half a character (a lone surrogate). Correct its encoding."
        ) from error
    return value


def _message(turn: Any, where: str, role: str, content: str) -> Message:
    if not isinstance(turn, Mapping) or role not in turn or content not in turn:
        raise InputError(f"{where} is not an object with {role!r} and {content!r}: {turn!r:.80}")
    name = str(turn[role])
    if name not in _ROLES:
        raise unknown("role", name, _ROLES, where=where)
    text = plain_text(_joined(turn[content]), f"{where}: {content!r}")
    return Message(_ROLES[name], text, train=_trained(turn, where))


def _joined(content: Any) -> Any:
    """OpenAI's list of text parts as one text; anything else as it is."""
    if isinstance(content, list) and content and all(_is_text_part(part) for part in content):
        return "".join(part["text"] for part in content)
    return content


def _is_text_part(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str)


def _trained(turn: Mapping[str, Any], where: str) -> bool:
    given = {name: turn[name] for name in ("weight", "train") if turn.get(name) is not None}
    for name, value in given.items():
        if value not in (0, 1):
            raise InputError(f"{where}: {name!r} is {value!r}; use 0 or 1 (weight), false or true (train).")
    if len({bool(value) for value in given.values()}) > 1:
        raise InputError(f"{where}: 'weight' and 'train' contradict each other. Keep one.")
    return all(bool(value) for value in given.values())


def _check_order(messages: tuple[Message, ...], where: str) -> None:
    if not any(m.role == "user" for m in messages):
        raise InputError(f"{where}: a conversation needs a user turn.")
    first = 1 if messages[0].role == "system" else 0
    for number, message in enumerate(messages[first:]):
        expected = ("user", "assistant")[number % 2]
        if message.role != expected:
            raise InputError(
                f"{where}: turn {first + number + 1} is {message.role!r} where {expected!r} must stand: an "
                "optional system message first, then user and assistant in turn. Merge or remove a turn."
            )
