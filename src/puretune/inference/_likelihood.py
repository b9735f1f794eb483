"""How probable given text is: what is asked of an engine, and what it says."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from puretune.errors import InputError
from puretune.events import EventSink
from puretune.models import TunedModel


@dataclass(frozen=True)
class LikelihoodRequest:
    """A continuation whose probability after a prompt is asked for, under one adapter."""

    key: str
    prompt: tuple[int, ...]
    """Token ids, BOS included; at least one."""
    continuation: tuple[int, ...]
    """Token ids that follow; at least one."""
    adapter: TunedModel | None = None

    @property
    def length(self) -> int:
        """Tokens of prompt and continuation."""
        return len(self.prompt) + len(self.continuation)


@dataclass(frozen=True)
class Likelihood:
    """What an engine says to a :class:`LikelihoodRequest`."""

    key: str
    logprobs: tuple[float, ...]
    """Natural logarithm of each continuation token's probability given all before it."""
    greedy: bool
    """Whether greedy decoding would have written exactly these tokens."""

    @property
    def total(self) -> float:
        """Natural logarithm of the continuation's probability; NaN where a log-probability is."""
        return math.fsum(self.logprobs)


class LikelihoodEngine(Protocol):
    """An engine that can also say how probable given text is."""

    name: str
    version: str

    def loglikelihood(
        self, requests: Iterable[LikelihoodRequest], on_event: EventSink
    ) -> Iterator[Likelihood]: ...


def likelihood_groups(
    requests: Iterable[LikelihoodRequest], context: int
) -> list[tuple[TunedModel | None, list[LikelihoodRequest]]]:
    """Requests by adapter; InputError if one is empty or longer than ``context`` tokens."""
    groups: dict[str | None, tuple[TunedModel | None, list[LikelihoodRequest]]] = {}
    for request in requests:
        _check(request, context)
        digest = request.adapter.digest if request.adapter else None
        groups.setdefault(digest, (request.adapter, []))[1].append(request)
    return list(groups.values())


def _check(request: LikelihoodRequest, context: int) -> None:
    where = f"request {request.key!r}"
    if not request.prompt or not request.continuation:
        raise InputError(f"{where}: prompt and continuation must have at least one token each.")
    if request.length > context:
        raise InputError(f"{where}: {request.length} tokens do not fit into the context of {context}.")
