"""What answers: an upstream server or the local engine, both as a stream of pieces of text."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from puretune.deploy.serve._release import Release
from puretune.deploy.serve._requests import Ask


@dataclass(frozen=True)
class Piece:
    """A part of an answer; the last one says why it ended and how many tokens there were."""

    text: str = ""
    finish: str | None = None
    prompt_tokens: int = 0
    new_tokens: int = 0


class Backend(Protocol):
    """Answers checked requests."""

    def answer(self, release: Release, ask: Ask) -> AsyncGenerator[Piece]:
        """The answer; Refusal where there is none. Closing the iterator ends the work."""
        ...

    async def healthy(self) -> bool:
        """Whether it could answer."""
        ...

    async def close(self) -> None:
        """Release connections and memory."""
        ...
