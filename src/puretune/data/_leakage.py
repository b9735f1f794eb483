"""Test prompts that are also in the tuning data: they measure memory, not what was learned."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from puretune.data._example import Example
from puretune.visible import one_line

_MOST_SHOWN = 5


@dataclass(frozen=True)
class Overlap:
    """The prompts of one suite that are tuning rows' queries too."""

    ids: tuple[str, ...]
    """Of the suite's examples, in its order."""
    prompts: int
    """All examples of the suite."""

    def __str__(self) -> str:
        shown = ", ".join(one_line(id, 60) for id in self.ids[:_MOST_SHOWN])
        more = f", ... ({len(self.ids) - _MOST_SHOWN:,} more)" if len(self.ids) > _MOST_SHOWN else ""
        return f"{len(self.ids):,} of {self.prompts:,} prompts are in the tuning data ({shown}{more})"


def trained_queries(rows: Iterable[Example]) -> frozenset[str]:
    """The user turns of tuning rows, as :func:`overlap` compares them."""
    return frozenset(_normal(m.content) for row in rows for m in row.messages if m.role == "user")


def overlap(examples: Sequence[Example], trained: frozenset[str]) -> Overlap:
    """Which examples ask what some tuning row asks: the last user turn, exactly, but for case, white space,
    Unicode's compatible forms and closing punctuation.
    """
    return Overlap(tuple(e.id for e in examples if _normal(e.query) in trained), len(examples))


def _normal(text: str) -> str:
    folded = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return folded.rstrip(" .?!") or folded
