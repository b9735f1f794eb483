"""One turn of a conversation, the words that say how it may be treated, and two reserved characters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant"]
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
