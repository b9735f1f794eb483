"""One example, whatever file it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from puretune.templates import Message


@dataclass(frozen=True)
class Example:
    """One conversation with an id. ``query`` and ``reference`` are views of its messages."""

    id: str
    messages: tuple[Message, ...]
    cluster: str | None = None
    """Examples of one cluster are not independent (one category, one paraphrase group)."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """JSON values that scorers may need (an answer key, a category)."""

    @property
    def query(self) -> str:
        """The last user turn's text."""
        return next((m.content for m in reversed(self.messages) if m.role == "user"), "")

    @property
    def reference(self) -> str | None:
        """The final assistant turn's text, or None if the example has none."""
        last = self.messages[-1] if self.messages else None
        return last.content if last is not None and last.role == "assistant" else None

    @property
    def prompt_messages(self) -> tuple[Message, ...]:
        """The messages up to and without the final assistant turn: what a model is asked."""
        return self.messages[:-1] if self.reference is not None else self.messages


def question(id: str, query: str, reference: str | None = None, **more: Any) -> Example:
    """A single-turn example; ``more`` are further fields of :class:`Example`."""
    turns = [Message("user", query)]
    if reference is not None:
        turns.append(Message("assistant", reference))
    return Example(id=id, messages=tuple(turns), **more)
