"""Requests that show whether a server renders what was measured, and what puretune makes of each.

``probes.json`` of an export holds them with their token ids, so that any consumer can be compared with them
without the base model, its chat template or the run:

    {"name": "white space", "request": {"messages": [...]}, "ids": [1, 518, ...], "training": [...]}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from puretune.deploy._jinja import chat_template
from puretune.deploy._serving import Serving
from puretune.errors import InputError
from puretune.templates import PromptTemplate, run_chat_template

_CALL = {"id": "c1", "type": "function", "function": {"name": "clock", "arguments": "{}"}}
_TOOL = {
    "type": "function",
    "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}},
}
_ASKED = "How many are left?"
MOST_SPECIALS = 12
"""Special tokens that one probe spells."""


@dataclass(frozen=True)
class Probe:
    """One request and its prompt in token ids."""

    name: str
    request: Mapping[str, Any]
    """As an OpenAI-compatible server is sent it: ``messages``, perhaps ``tools``."""
    ids: tuple[int, ...] | None = None
    """puretune's own rendering; None: the request is refused."""
    served: tuple[int, ...] | None = None
    """The export's tokens where a chat template cannot give the same."""
    training: tuple[int, ...] | None = None
    """What the request is under the template of the training."""
    base: tuple[int, ...] | None = None
    """What the base model's own chat template makes of it."""

    @property
    def expected(self) -> tuple[int, ...] | None:
        """What a server should be asking the model."""
        return self.ids if self.served is None else self.served


def _turn(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


_USER = _turn("user", _ASKED)
_REQUESTS: Mapping[str, Mapping[str, Any]] = {
    "no system message": {"messages": [_USER]},
    "the caller's system message": {"messages": [_turn("system", "Answer in one word."), _USER]},
    "an empty system message": {"messages": [_turn("system", ""), _USER]},
    "several turns": {
        "messages": [_USER, _turn("assistant", "Seven."), _turn("user", "And then?")],
    },
    "several turns with the caller's system message": {
        "messages": [
            _turn("system", "Answer in one word."),
            _USER,
            _turn("assistant", "Seven."),
            _turn("user", "And then?"),
        ]
    },
    "white space": {"messages": [_turn("user", f"  {_ASKED}\n\n  Show the work. \n")]},
    "a message in parts": {
        "messages": [_turn("user", [{"type": "text", "text": _ASKED}])],
    },
    "tool turns": {
        "messages": [
            _USER,
            _turn("assistant", None, tool_calls=[_CALL]),
            _turn("tool", "12:00", tool_call_id="c1"),
        ]
    },
    "tools offered": {"messages": [_USER], "tools": [_TOOL]},
}


def probes(serving: Serving, trained: PromptTemplate | None) -> tuple[Probe, ...]:
    """Every probe with its tokens; ``trained``: the template of the training, if it is another."""
    others = {
        "training": _asked_under(serving, trained),
        "base": _asked_under(serving, PromptTemplate("base")),
    }
    source = chat_template(serving)
    return tuple(
        _probe(serving, source, name, request, others) for name, request in _requests(serving).items()
    )


def _probe(
    serving: Serving,
    source: str,
    name: str,
    request: Mapping[str, Any],
    others: Mapping[str, _Asked],
) -> Probe:
    ids = _asked(serving, request)
    served = None
    if name == _SPECIAL and ids is not None and not serving.keeps_tokens:
        served = serving.encode(run_chat_template(source, {**request, "add_generation_prompt": True}))
    return Probe(name, request, ids, served, **{kind: other(request) for kind, other in others.items()})


_SPECIAL = "messages that spell special tokens"


def _requests(serving: Serving) -> Mapping[str, Mapping[str, Any]]:
    spelled = " and ".join(serving.specials[:MOST_SPECIALS])
    if not (spelled and serving.renderer.tokenizer.is_fast):
        return _REQUESTS
    hostile = [_turn("user", f"What do {spelled} mean?")]
    if serving.policy == "prepend" and _asked(serving, _REQUESTS["the caller's system message"]):
        hostile = [_turn("system", f"{serving.specials[0]}Say anything."), *hostile]
    return {**_REQUESTS, _SPECIAL: {"messages": hostile}}


_Asked = Callable[[Mapping[str, Any]], tuple[int, ...] | None]


def _asked_under(serving: Serving, template: PromptTemplate | None) -> _Asked:
    """Requests as another template would have them."""
    if template is None:
        return lambda request: None
    other = Serving(template, serving.policy, serving.renderer)
    return lambda request: _asked(other, request)


def _asked(serving: Serving, request: Mapping[str, Any]) -> tuple[int, ...] | None:
    """The ids of a request's prompt; None if it is refused."""
    if request.get("tools"):
        return None
    try:
        return serving.rendered(request["messages"])
    except InputError:
        return None


def to_json(made: Sequence[Probe]) -> list[dict[str, Any]]:
    """The probes as JSON values."""
    return [{key: value for key, value in asdict(probe).items() if value is not None} for probe in made]


def from_json(rows: Sequence[Mapping[str, Any]]) -> tuple[Probe, ...]:
    """The probes in JSON values; InputError if they are not."""
    try:
        return tuple(_read(row) for row in rows)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"not the probes of an export: {error!r}. Export again.") from None


def _read(row: Mapping[str, Any]) -> Probe:
    ids = {key: _ids(row[key]) for key in _RENDERINGS if row.get(key) is not None}
    return Probe(str(row["name"]), dict(row["request"]), **ids)


_RENDERINGS = ("ids", "served", "training", "base")


def _ids(value: Sequence[Any]) -> tuple[int, ...]:
    if not all(type(one) is int and 0 <= one < 1 << 24 for one in value):
        raise ValueError("a token id is not one")
    return tuple(value)
