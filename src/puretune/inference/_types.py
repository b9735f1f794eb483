"""Requests, answers, and the protocol of an engine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from puretune.events import EventSink
from puretune.models import TunedModel
from puretune.templates import Message

Finish = Literal["stop", "length", "error"]
"""``error``: an endpoint refused the request, so that there is no answer; the note says why."""
Takes = Literal["ids", "messages"]
"""What an engine is given: a prompt rendered to token ids, or turns that an endpoint renders itself."""


@dataclass(frozen=True)
class Decoding:
    """How tokens are chosen. The paper: at most 512 new tokens, greedy, seed 42."""

    max_new_tokens: int = 512
    temperature: float = 0.0
    """0: greedy."""
    top_p: float = 1.0
    seed: int = 42
    n: int = 1
    """Samples per prompt (greedy decoding: 1)."""


def stream_seed(prompt: Sequence[int], decoding: Decoding, sample: int) -> int:
    """The seed (56 bits) of one answer's own stream, whatever else is asked."""
    text = f"{decoding.seed}/{sample}/{','.join(map(str, prompt))}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


@dataclass(frozen=True)
class Request:
    """One prompt for one adapter. The key is the caller's; answers come back under it."""

    key: str
    prompt: tuple[int, ...] = ()
    """Token ids, BOS included: engines never re-template."""
    adapter: TunedModel | None = None
    decoding: Decoding = Decoding()
    messages: tuple[Message, ...] = ()
    """In place of ``prompt``, for an engine that takes messages: the turns, the template's among them."""
    shared: int = 0
    """Leading tokens of the prompt that the other requests of its template begin with too. An engine may
    compute them once; no answer depends on it beyond rounding."""


@dataclass(frozen=True)
class Answer:
    """One answer to a request."""

    key: str
    sample: int
    text: str
    token_ids: tuple[int, ...]
    """Generated ids, the stop token included if there is one."""
    finish: Finish
    reported: str = ""
    """The model's name as an endpoint reports it; empty if the engine holds the model itself."""
    note: str = ""
    """What an endpoint says in addition to the answer: that it was filtered, or refused."""


class Engine(Protocol):
    """Answers requests. Synchronous; answers arrive in any order."""

    name: str
    version: str
    takes: Takes

    def generate(self, requests: Iterable[Request], on_event: EventSink) -> Iterator[Answer]: ...

    def close(self) -> None:
        """Release what the engine holds: memory, processes, connections."""
        ...
