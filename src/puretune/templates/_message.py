"""One turn of a conversation, the words that say how it may be treated, and two reserved characters."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]
Mode = Literal["text", "chat"]
OwnSystem = Literal["forbid", "keep", "drop"]
DefaultSystem = Literal["forbid", "keep"]

# Unicode noncharacters, which are never part of anybody's text
GUARD = "\ufdd0"
"""Breaks up the spelling of a special token, so that it stays text."""
MARK = "\ufdd1"
"""Placeholder for a text while what is around it is examined."""


@dataclass(frozen=True)
class Message:
    """One turn. ``train`` says whether an assistant turn is part of the loss; other roles ignore it."""

    role: Role
    content: str
    train: bool = True
    tool_calls: str = ""
    """What an assistant turn calls, as JSON: a list in the form of OpenAI's API; "": nothing."""
    tool_call_id: str = ""
    """Of a tool turn: the call whose result it is."""
    name: str = ""
    """Of a tool turn: the function."""

    @property
    def is_about_tools(self) -> bool:
        """Whether this is a call or its result."""
        return self.role == "tool" or bool(self.tool_calls)

    def for_chat_template(self) -> dict[str, Any]:
        """As chat templates are given it; a call's arguments are a mapping where they can be."""
        more = {"tool_call_id": self.tool_call_id, "name": self.name}
        calls = {"tool_calls": json.loads(self.tool_calls)} if self.tool_calls else {}
        said = {key: value for key, value in more.items() if value}
        return {"role": self.role, "content": self.content, **calls, **said}
