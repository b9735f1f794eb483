"""Turns as they are in files -> messages to render: known roles, no empty text, turns that alternate.

{"role": "assistant", "content": "Two.", "weight": 0}        or {"from": "gpt", "value": "Two."}
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from puretune.data._row import is_empty
from puretune.data._tool_calls import CALL_ROLES, CALLS, READ, RESULT_ROLES, call_in, calls_of
from puretune.errors import InputError, unknown
from puretune.files import kind_of, parse_json
from puretune.names import listed
from puretune.templates import Message, Role
from puretune.thoughts import MARKS, ThinkingBlock, thinking_in
from puretune.visible import one_line, quoted

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    **dict.fromkeys(CALL_ROLES, "assistant"),
    **dict.fromkeys(RESULT_ROLES, "tool"),
}
"""OpenAI's and ShareGPT's names of roles (OpenAI's newer models say developer for system)."""
_PAIRS = (("role", "content"), ("from", "value"))
"""The two spellings of a turn's fields; either is read in either column."""
_READ = ("weight", "train")
THOUGHTS = ("reasoning_content", "reasoning", "thinking")
"""Fields in which chat APIs give an answer's thoughts: read as a thinking block before the answer."""
_PART_READ = ("type", "text")
_TEXT_PARTS = ("text", "input_text", "output_text")
"""Types of a part that is text, in OpenAI's chat and responses interfaces."""


def conversation(turns: Sequence[Any], where: str, ignore: Collection[str] = ()) -> tuple[Message, ...]:
    """The messages of one conversation: perhaps a system message, then user and assistant in turn.

    Thoughts that an assistant turn has in a field of their own, unless that is one of ``ignore``, come before
    its text. InputError names the row and the turn.
    """
    messages = tuple(_message(turn, f"{where}: turn {n}", ignore) for n, turn in enumerate(turns, start=1))
    _check_order(messages, where)
    return messages


def fields_not_read(turns: Sequence[Any]) -> frozenset[str]:
    """Names of the turns' fields (and of their text parts') that say something and are not read."""
    found: set[str] = set()
    for turn in turns:
        if isinstance(turn, Mapping):
            role, content = _pair(turn) or _PAIRS[0]
            thoughts = THOUGHTS if ROLES.get(str(turn.get(role))) == "assistant" else ()
            tools = READ.get(ROLES.get(str(turn.get(role)), ""), ())
            found |= _left_in(turn, (role, content, *_READ, *thoughts, *tools))
            parts = turn.get(content)
            for part in parts if isinstance(parts, list) else ():
                found |= _left_in(part, _PART_READ) if isinstance(part, Mapping) else set()
    return frozenset(found)


def plain_text(value: Any, where: str) -> str:
    """A non-empty string that UTF-8 can hold; InputError otherwise."""
    if not isinstance(value, str):
        raise InputError(f"{where} is {kind_of(value)}; it must be text.")
    if not value.strip():
        raise InputError(f"{where} is empty. Fill it in, or leave the row out.")
    return checked_characters(value, where)


def checked_characters(value: str, where: str) -> str:
    """The text; InputError for half a character (a lone surrogate) or a NUL in it."""
    if "\0" in value:
        raise InputError(f"{where} holds a NUL character. Correct its encoding.")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            f"{where} holds half a character (a lone surrogate). Correct its encoding."
        ) from error
    return value


def checked_value(value: Any, where: str) -> Any:
    """A JSON value of which every text (and key) has passed :func:`checked_characters`."""
    if isinstance(value, str):
        return checked_characters(value, where)
    if isinstance(value, Mapping):
        return {
            checked_characters(str(key), where): checked_value(item, where) for key, item in value.items()
        }
    if isinstance(value, list):
        return [checked_value(item, where) for item in value]
    return value


def turn_names(turn: Any, where: str) -> tuple[str, str]:
    """What a turn calls its role and its text; InputError if it has none."""
    names = _pair(turn) if isinstance(turn, Mapping) else None
    if names is None:
        held = (
            f"has the fields {listed(turn) or 'none'}" if isinstance(turn, Mapping) else f"is {kind_of(turn)}"
        )
        raise InputError(f"{where} {held}; it must have 'role' and 'content' (or 'from' and 'value').")
    return names


def role_named(name: Any, known: Collection[str], where: str) -> str:
    """A role's name as a turn has it; InputError if it is none of the known ones."""
    if not isinstance(name, str):
        raise InputError(f"{where}: the role is {kind_of(name)}; it must be text ({listed(known)}).")
    if name not in known:
        raise unknown("role", name, known, where=where)
    return name


def turns_in(value: Any) -> Any:
    """A conversation as a list: what a table holds as JSON text is read; anything else is as it is."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        with suppress(InputError):
            return parse_json(value, "")
    return value


def _message(turn: Any, where: str, ignore: Collection[str]) -> Message:
    role, content = turn_names(turn, where)
    name = role_named(turn[role], ROLES, where)
    if ROLES[name] == "tool" or name in CALL_ROLES or any(not is_empty(turn.get(key)) for key in CALLS):
        return _about_tools(turn, name, content, where)
    text = plain_text(joined(turn[content], f"{where}: {content!r}"), f"{where}: {content!r}")
    if ROLES[name] == "assistant":
        text = _with_thoughts(turn, text, where, ignore)
    return Message(ROLES[name], text, train=_trained(turn, ROLES[name], where))


def _about_tools(turn: Mapping[str, Any], name: str, content: str, where: str) -> Message:
    """A call, perhaps with a text before it, or a tool's result, which may be empty."""
    role, place = ROLES[name], f"{where}: {content!r}"
    if name in CALL_ROLES:
        return Message(role, "", _trained(turn, role, where), call_in(turn[content], where))
    said = joined(turn[content], place)
    text = "" if is_empty(said) else plain_text(said, place)
    if role == "assistant":
        return Message(role, text, _trained(turn, role, where), calls_of(turn, where))
    id, function = ("" if is_empty(turn.get(key)) else str(turn[key]) for key in READ["tool"])
    return Message(role, text, tool_call_id=id, name=function)


def _with_thoughts(turn: Mapping[str, Any], text: str, where: str, ignore: Collection[str]) -> str:
    """The answer behind the thoughts that a field of their own holds; InputError for thoughts twice."""
    given = [name for name in THOUGHTS if name not in ignore and not is_empty(turn.get(name))]
    if not given:
        return text
    thoughts = plain_text(turn[given[0]], f"{where}: {given[0]!r}")
    also = [f"{name!r}" for name in given[1:] if turn[name] != turn[given[0]]]
    also += ["the text itself"] if thinking_in(text)[0] else []
    if also:
        raise InputError(f"{where}: thoughts in {given[0]!r} and in {also[0]}. Keep one.")
    return ThinkingBlock(thoughts.strip("\n"), *MARKS[0]).spelled() + text


def _pair(turn: Mapping[str, Any]) -> tuple[str, str] | None:
    """How a turn spells its fields; one with both spellings is read by that which says something."""
    there = [pair for pair in _PAIRS if set(pair) <= set(turn)]
    filled = [pair for pair in there if turn[pair[0]] is not None]
    return next(iter(filled or there), None)


def _left_in(fields: Mapping[str, Any], read: Sequence[str]) -> set[str]:
    return {str(name) for name, value in fields.items() if name not in read and not is_empty(value)}


def joined(content: Any, where: str) -> Any:
    """OpenAI's list of text parts as one text; what is no list as it is; InputError for another part."""
    if not isinstance(content, list) or not content:
        return content
    other = next((part for part in content if not _is_text_part(part)), None)
    if other is not None:
        said = f"of type {quoted(other.get('type'), 40)}" if isinstance(other, Mapping) else kind_of(other)
        raise InputError(
            f"{where} is a list with a part {said}; only text parts are read, as in "
            '{"type": "text", "text": "Hello"}.'
        )
    return "".join(part["text"] for part in content)


def _is_text_part(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") in _TEXT_PARTS and isinstance(part.get("text"), str)


def _trained(turn: Mapping[str, Any], role: Role, where: str) -> bool:
    given = {name: turn[name] for name in _READ if turn.get(name) is not None}
    for name, value in given.items():
        if value not in (0, 1):
            said = one_line(value, 40) if isinstance(value, int | float) else kind_of(value)
            raise InputError(f"{where}: {name!r} is {said}; use 0 or 1 (weight), false or true (train).")
        if value and role != "assistant":
            raise InputError(
                f"{where}: {name!r} asks to train a {role} turn; only assistant turns are trained. Remove it."
            )
    if len({bool(value) for value in given.values()}) > 1:
        raise InputError(f"{where}: 'weight' and 'train' contradict each other. Keep one.")
    return all(bool(value) for value in given.values())


def _check_order(messages: tuple[Message, ...], where: str) -> None:
    if not any(m.role == "user" for m in messages):
        raise InputError(f"{where}: a conversation needs a user turn.")
    first = 1 if messages[0].role == "system" else 0
    before: Message | None = None
    for number, message in enumerate(messages[first:]):
        expected = _expected(before)
        after_results = before is not None and before.role == "tool" and message.role == "tool"
        before = message
        if message.role != expected and not after_results:
            raise InputError(
                f"{where}: turn {first + number + 1} is {message.role!r} where {expected!r} must come: an "
                "optional system message first, then user and assistant in turn. Merge or remove a turn, or "
                "let `puretune data clean` do it."
            )


def _expected(before: Message | None) -> Role:
    """Whose turn it is: a call is followed by its result, a result by an answer (or by another result)."""
    if before is None:
        return "user"
    if before.role == "assistant":
        return "tool" if before.tool_calls else "user"
    return "assistant"
