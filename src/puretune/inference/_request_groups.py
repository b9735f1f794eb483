"""Requests by adapter, each different answer once; what cannot be answered is named before any work."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from puretune.errors import InputError
from puretune.inference._types import Decoding, Request
from puretune.models import TunedModel


@dataclass(frozen=True)
class Item:
    """One answer to make."""

    prompt: tuple[int, ...]
    decoding: Decoding
    sample: int


@dataclass
class Group:
    """What is asked of one adapter: each answer to make, and the (key, sample) pairs that it serves."""

    adapter: TunedModel | None
    wanted: dict[Item, list[tuple[str, int]]] = field(default_factory=dict)
    shared: dict[Item, int] = field(default_factory=dict)
    """Leading tokens of an item's prompt that are said to be shared."""


def grouped(requests: Iterable[Request], context: int) -> list[Group]:
    """One group per adapter, in the order in which they are asked; ``context``: longest sequence in tokens.

    InputError if a request cannot be answered.
    """
    groups: dict[str | None, Group] = {}
    for request in requests:
        _check(request, context)
        digest = request.adapter.digest if request.adapter else None
        group = groups.setdefault(digest, Group(request.adapter))
        for sample in range(request.decoding.n):
            item = _item(request, sample)
            group.wanted.setdefault(item, []).append((request.key, sample))
            group.shared.setdefault(item, request.shared)
    return list(groups.values())


def _item(request: Request, sample: int) -> Item:
    """Greedy answers do not depend on seed, top_p and sample number, so these are left out there."""
    asked = request.decoding
    if asked.temperature == 0:
        return Item(request.prompt, Decoding(asked.max_new_tokens), sample=0)
    return Item(
        request.prompt,
        Decoding(asked.max_new_tokens, asked.temperature, asked.top_p, asked.seed),
        sample,
    )


def _check(request: Request, context: int) -> None:
    where = f"request {request.key!r}"
    if not request.prompt:
        raise InputError(f"{where}: the prompt is empty.")
    check_decoding(request)
    decoding = request.decoding
    if len(request.prompt) + decoding.max_new_tokens > context:
        raise InputError(
            f"{where}: the query is longer than the context: {len(request.prompt)} tokens of prompt and "
            f"{decoding.max_new_tokens} new ones do not fit into {context}. "
            "Shorten the query or lower max_new_tokens."
        )


def check_decoding(request: Request) -> None:
    """InputError if a request's decoding makes no sense."""
    decoding, where = request.decoding, f"request {request.key!r}"
    if decoding.max_new_tokens < 1 or decoding.n < 1:
        raise InputError(f"{where}: max_new_tokens and n must be at least 1.")
    if decoding.temperature < 0 or not 0 <= decoding.top_p <= 1:
        raise InputError(f"{where}: temperature must not be negative, top_p must be in [0, 1].")
