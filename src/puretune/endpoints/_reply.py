"""What comes back from an endpoint: a completion, read as JSON that anybody may have written; or trouble."""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import UnionType
from typing import Any, Literal, TypeVar

from puretune.endpoints._checks import LONGEST_NAME
from puretune.files import kind_of
from puretune.visible import one_line

_Value = TypeVar("_Value")

_MOST_TOKENS = 10**9
"""More than any request can have used: a count above it is nonsense."""


@dataclass(frozen=True)
class Reply:
    """What the model said."""

    text: str
    model: str
    """The model's name as the endpoint reports it, hidden characters made visible."""
    input_tokens: int = 0
    output_tokens: int = 0
    finish: str = ""
    """Why it ends, in the endpoint's words; ``refused: ...`` where the endpoint refused this request."""
    token_ids: tuple[int, ...] = ()
    """Its tokens, where the endpoint says them."""


class Trouble(Exception):
    """A request that brought no reply.

    ``busy``: too many requests, wait. ``failed``: the endpoint or the line to it; try again. ``refused``:
    this one will not be answered. Errors that would be the same for every request are PuretuneErrors.
    """

    def __init__(
        self, kind: Literal["busy", "failed", "refused"], what: str, wait: float | None = None
    ) -> None:
        super().__init__(what)
        self.kind = kind
        self.wait = wait
        """Seconds that the endpoint asks to wait."""


def read_completion(content: Any, model: str) -> Reply:
    """A completion, of a chat or not, from a response: its parsed JSON, or its text.

    Trouble where it is something else.

    ``model``: the name that was asked for, for endpoints that report none.
    """
    try:
        value = json.loads(content) if isinstance(content, str) else content
        return _completion(value, model)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        start = content.lstrip()[:15].lower() if isinstance(content, str) else ""
        kind = "HTML" if start.startswith(("<!doctype html", "<html")) else "no chat completion"
        raise Trouble("failed", f"it returns {kind}") from error


def _completion(value: Any, model: str) -> Reply:
    choice = value["choices"][0]
    message = choice.get("message")
    said = message if message is not None else {"content": choice["text"]}
    usage = value.get("usage") or {}
    ids = choice.get("token_ids") or ()
    if not all(isinstance(id, int) and not isinstance(id, bool) and id >= 0 for id in ids):
        raise TypeError("its token ids are not numbers")
    return Reply(
        text=_storable(_text(said.get("content") or said.get("refusal"))),
        model=_name(_text(value.get("model")) or model),
        input_tokens=_tokens(usage.get("prompt_tokens")),
        output_tokens=_tokens(usage.get("completion_tokens")),
        finish=one_line(_text(choice.get("finish_reason"))),
        token_ids=tuple(ids),
    )


def _text(value: Any) -> str:
    """Text, or the empty text for null; TypeError for anything else."""
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} where text is needed")
    return value or ""


def _name(text: str) -> str:
    if len(text) > LONGEST_NAME:
        raise ValueError("its model's name is too long")
    return one_line(text)


def _storable(text: str) -> str:
    """Without lone surrogates, which no file can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _tokens(value: Any) -> int:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 <= value <= _MOST_TOKENS else 0


def need(value: _Value, **kinds: type | UnionType) -> _Value:
    """``value``, an object of the SDK, whose attributes are of these kinds; TypeError where one is not.

    The SDK takes objects from JSON as they come. Within :meth:`Client.call` the error is a :class:`Trouble`.
    """
    for name, kind in kinds.items():
        given = getattr(value, name, None)
        if not isinstance(given, kind) or isinstance(given, bool):
            raise TypeError(f"its {name} is {kind_of(given)}")
    return value
