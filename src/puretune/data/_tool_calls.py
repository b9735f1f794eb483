"""Tool calls and their results as they are in files -> the fields of messages.

{"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function", "function": {...}}]}
{"role": "assistant", "content": null, "function_call": {"name": "get_weather", "arguments": "{}"}}
{"from": "function_call", "value": "{\\"name\\": \\"get_weather\\", \\"arguments\\": {}}"}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from puretune.data._row import is_empty
from puretune.errors import InputError
from puretune.files import kind_of, parse_json

CALL_ROLES = ("function_call", "tool_call")
"""ShareGPT's names for a turn that is a call."""
RESULT_ROLES = ("tool", "function", "ipython", "observation", "tool_response", "function_response")
CALLS = ("tool_calls", "function_call")
READ = {"assistant": CALLS, "tool": ("tool_call_id", "name")}
"""Fields of turns that are read, by role."""
_DROP = "`puretune data clean --tools drop` takes tool turns out."


def calls_of(turn: Mapping[str, Any], where: str) -> str:
    """What a turn calls, as JSON in the form of OpenAI's API; "" for nothing. InputError for another form."""
    given = turn.get("tool_calls")
    if is_empty(given):
        given = [turn["function_call"]] if not is_empty(turn.get("function_call")) else []
    if not isinstance(given, list):
        raise InputError(f"{where}: 'tool_calls' is {kind_of(given)}; it must be a list. {_DROP}")
    calls = [_call(call, where) for call in given]
    return json.dumps(calls, ensure_ascii=False) if calls else ""


def call_in(text: Any, where: str) -> str:
    """The call that ShareGPT has as a turn's text."""
    value = text
    if isinstance(text, str):
        try:
            value = parse_json(text, where)
        except InputError:
            raise InputError(f"{where}: the call is not JSON. {_DROP}") from None
    return calls_of({"tool_calls": value if isinstance(value, list) else [value]}, where)


def _call(call: Any, where: str) -> dict[str, Any]:
    """``{"type": "function", "id": ..., "function": {"name": ..., "arguments": {...}}}``."""
    inner = call.get("function", call) if isinstance(call, Mapping) else None
    name = inner.get("name") if isinstance(inner, Mapping) else None
    if not isinstance(inner, Mapping) or not isinstance(name, str) or not name.strip():
        raise InputError(f"{where}: a tool call without the name of a function. {_DROP}")
    arguments = inner.get("arguments") or {}
    if isinstance(arguments, str):
        try:
            arguments = parse_json(arguments, where)
        except InputError:
            raise InputError(
                f"{where}: the arguments of the call of {name!r} are not JSON. {_DROP}"
            ) from None
    id = {"id": call["id"]} if isinstance(call.get("id"), str) and call["id"] else {}
    return {"type": "function", **id, "function": {"name": name, "arguments": arguments}}
