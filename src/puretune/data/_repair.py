"""Repairs of one conversation, each by a rule that has a name.

characters    NUL and halves of characters, which no text can have, are removed
nested        a list in a list becomes the list of turns
parts         content that is a list of text parts becomes one text
tools         tool calls and their results are removed
empty         turns without text are removed
system        system messages are merged into one, or removed
greeting      what the assistant says before the first user turn is removed
consecutive   turns of one role that follow each other become one, with a blank line between
unanswered    user turns after the last answer are removed
format, ids   of a whole file: rows of several formats become conversations; repeated ids are removed
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from puretune.data._messages import ROLES, joined, role_named, turn_names
from puretune.data._tool_calls import CALL_ROLES, CALLS, call_in
from puretune.errors import InputError
from puretune.files import kind_of
from puretune.names import listed

Turn = dict[str, Any]
_TOOL = "tool"


@dataclass(frozen=True)
class Rules:
    """What a user decides; the other repairs have only one way."""

    tools: Literal["drop", "keep", "leave-out"] = "drop"
    """Remove tool calls and results from conversations, keep them (for a model whose chat template renders
    them), or leave out conversations that have any."""
    system: Literal["keep", "drop", "move"] = "keep"
    """``move``: the one message that the rows share is removed, to become a template's system prompt."""


def repaired(turns: Sequence[Any], rules: Rules, where: str) -> tuple[list[Turn], tuple[str, ...]]:
    """The turns of a conversation after every repair, and the names of the rules that changed something.

    Roles are written as system, user and assistant. InputError for what no rule repairs.
    """
    found = [_read(turn, f"{where}: turn {number}") for number, turn in enumerate(turns, 1)]
    changed = ["parts"] if any(isinstance(turn[turn_names(turn, where)[1]], list) for turn in turns) else []
    for name, repair in _repairs(rules, where):
        after = repair(found)
        changed += [name] if after != found else []
        found = after
    return found, tuple(changed)


def readable(value: Any) -> Any:
    """A JSON value without NUL and lone surrogates in its texts."""
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "ignore").decode()
    if isinstance(value, Mapping):
        return {str(readable(str(key))): readable(item) for key, item in value.items()}
    return [readable(item) for item in value] if isinstance(value, list) else value


def unwrapped(turns: Any) -> Any:
    """A conversation that is the only item of a list, or of a list in a list."""
    for _ in range(3):
        if isinstance(turns, list) and len(turns) == 1 and isinstance(turns[0], list):
            turns = turns[0]
    return turns


def system_of(turns: Sequence[Any]) -> str | None:
    """All that a conversation's system messages say; None if it has none."""
    read = [_read(turn, "") for turn in turns]
    return "\n\n".join(turn["content"] for turn in read if turn["role"] == "system") or None


def _repairs(rules: Rules, where: str) -> list[tuple[str, Callable[[list[Turn]], list[Turn]]]]:
    return [
        ("tools", lambda turns: _without_tools(turns, rules, where)),
        ("empty", lambda turns: [turn for turn in turns if turn["content"].strip() or _about_tools(turn)]),
        ("system", _merged_system if rules.system == "keep" else lambda turns: _other_than("system", turns)),
        ("greeting", _from_first_question),
        ("consecutive", lambda turns: _merged(turns, where)),
        ("unanswered", _to_last_answer),
    ]


def _read(turn: Any, where: str) -> Turn:
    """A turn with its role and text under one name, everything else as it is."""
    role, content = turn_names(turn, where)
    name, text = turn[role], joined(turn[content], f"{where}: {content!r}")
    name = role_named(name, ROLES, where)
    if not isinstance(text, str | None):
        raise InputError(f"{where}: {content!r} is {kind_of(text)}; it must be text.")
    others = {key: value for key, value in turn.items() if key not in ("role", "content", "from", "value")}
    if name in CALL_ROLES:
        return {"role": "assistant", "content": "", "tool_calls": _calls(text, where), **others}
    return {"role": ROLES[name], "content": text or "", **others}


def _calls(text: Any, where: str) -> Any:
    """The calls of a turn that is one; what is none is kept as it is, to be dropped."""
    try:
        return json.loads(call_in(text, where))
    except InputError:
        return [text]


def _about_tools(turn: Turn) -> bool:
    return turn["role"] == _TOOL or any(turn.get(name) for name in CALLS)


def _other_than(role: str, turns: list[Turn]) -> list[Turn]:
    return [turn for turn in turns if turn["role"] != role]


def _without_tools(turns: list[Turn], rules: Rules, where: str) -> list[Turn]:
    calls = [turn for turn in turns if _about_tools(turn)]
    if calls and rules.tools == "leave-out":
        raise InputError(f"{where}: it has {len(calls)} tool turns.")
    if rules.tools == "keep":
        return turns
    kept = _other_than(_TOOL, turns)
    return [{name: value for name, value in turn.items() if name not in CALLS} for turn in kept]


def _merged_system(turns: list[Turn]) -> list[Turn]:
    said = [turn for turn in turns if turn["role"] == "system"]
    if len(said) < 2 and turns[:1] == said[:1]:
        return turns
    text = "\n\n".join(turn["content"] for turn in said)
    return [*([{**said[0], "content": text}] if said else []), *_other_than("system", turns)]


def _from_first_question(turns: list[Turn]) -> list[Turn]:
    first = next((place for place, turn in enumerate(turns) if turn["role"] == "user"), len(turns))
    return [turn for place, turn in enumerate(turns) if place >= first or turn["role"] == "system"]


def _to_last_answer(turns: list[Turn]) -> list[Turn]:
    """Up to the last answer; a conversation without any is a prompt to test with and stays as it is."""
    last = max((place for place, turn in enumerate(turns) if turn["role"] == "assistant"), default=None)
    return turns if last is None else turns[: last + 1]


def _merged(turns: list[Turn], where: str) -> list[Turn]:
    found: list[Turn] = []
    for turn in turns:
        alike = found and found[-1]["role"] == turn["role"]
        if alike and not (_about_tools(turn) or _about_tools(found[-1])):
            found[-1] = _joined_turns(found[-1], turn, where)
        else:
            found.append(turn)
    return found


def _joined_turns(first: Turn, second: Turn, where: str) -> Turn:
    """Two turns as one. InputError if they differ in anything but their text."""
    others = [{name: value for name, value in turn.items() if name != "content"} for turn in (first, second)]
    if others[0] != others[1]:
        names = [name for name in {**first, **second} if first.get(name) != second.get(name)]
        differ = listed([name for name in names if name != "content"])
        raise InputError(
            f"{where}: two {first['role']} turns in a row cannot become one; they differ in {differ}."
        )
    return {**first, "content": f"{first['content']}\n\n{second['content']}"}
