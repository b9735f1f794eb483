"""The queues of an adapter: items whose prompts begin alike and whose tokens are chosen alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from puretune.inference._request_groups import Group, Item

_LEAST_SHARED = 16
"""A shorter prefix is cheaper to compute in every row than to attend to separately."""


@dataclass(frozen=True)
class Pool:
    """A queue of items that are decoded together, those that may take longest first."""

    prefix: tuple[int, ...]
    """What all their prompts begin with and continue; empty if sharing it is not worth while."""
    items: list[Item]


def pools(group: Group) -> list[Pool]:
    """The items of one adapter by sampling settings and shared prefix."""
    found: dict[tuple[float, float, tuple[int, ...]], list[Item]] = {}
    for item in group.wanted:
        asked = item.decoding
        key = (asked.temperature, asked.top_p, item.prompt[: group.shared[item]])
        found.setdefault(key, []).append(item)
    return [
        Pool(_worth_sharing(prefix, items), sorted(items, key=_cost, reverse=True))
        for (*_, prefix), items in found.items()
    ]


def longest(item: Item) -> int:
    """Tokens of an item at its longest, prompt included."""
    return len(item.prompt) + item.decoding.max_new_tokens


def _cost(item: Item) -> tuple[int, int]:
    return item.decoding.max_new_tokens, len(item.prompt)


def _worth_sharing(prefix: tuple[int, ...], items: Sequence[Item]) -> tuple[int, ...]:
    prefix = prefix[: min(len(item.prompt) for item in items) - 1]
    return prefix if len(prefix) >= _LEAST_SHARED and len(items) > 1 else ()
