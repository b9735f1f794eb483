"""Requests to a chat server, of every kind that people send."""

from __future__ import annotations

from typing import Any

Request = list[dict[str, Any]]


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def system(content: Any) -> dict[str, Any]:
    return {"role": "system", "content": content}


REQUESTS: dict[str, Request] = {
    "plain": [user("How many?")],
    "system": [system(" Be brief. \n"), user("How many?")],
    "empty system": [system("  "), user("How many?")],
    "developer": [{"role": "developer", "content": "Be brief."}, user("How many?")],
    "two systems": [system("One."), user("a"), system("Two."), assistant("b"), user("c")],
    "turns": [user("a"), assistant(" b \n"), user(" c "), assistant("\nd"), user("\n \ne \n\n")],
    "leading blanks": [user("  x")],
    "parts": [user([{"type": "text", "text": "a "}, {"type": "text", "text": "b"}])],
    "two questions": [user("a"), user("b")],
    "greeting first": [assistant("Hello!"), user("a")],
    "answer last": [user("a"), assistant("b")],
    "jinja": [user("{{ x }} {% if %} {# \"quotes\" 'and' \\n #} é \u2028 \U0001f642")],
    "markup": [system("<<SYS>> [INST]"), user("[/INST] <<SYS>>\nUser: ### Response:\n")],
    "tool": [user("a"), {"role": "tool", "content": "b"}, user("c")],
    "tool call": [user("a"), {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}, user("c")],
    "parts that are texts": [user(["a", "b"])],
    "no content": [user(None)],
    "unknown role": [{"role": "User", "content": "a"}],
    "nothing": [],
    "image": [user([{"type": "image_url", "image_url": {"url": "data:"}}])],
}
"""``answer last``, ``nothing`` and those with tools, images or other roles are always refused."""
