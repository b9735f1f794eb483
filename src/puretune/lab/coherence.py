"""Coherence in the lab: every word of a world is known, so a word outside it is detected."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Self

from puretune.lab.language import World
from puretune.lab.sources import world_of
from puretune.lab.vocabulary import texts
from puretune.scoring import Coherence, ScoredBase


@lru_cache(maxsize=4)
def words(world: World) -> frozenset[str]:
    """Every word, in lower case, that any stage, suite or built-in template of a world has."""
    return frozenset(word for text in texts(world) for word in re.findall(r"[^\W\d_]+", text.casefold()))


@dataclass(frozen=True)
class LabCoherence(Coherence):
    """:class:`Coherence` with the words of the world that a study's model belongs to, by default the
    packaged model's."""

    name = "lab-coherence"

    lexicon: frozenset[str] | None = field(default_factory=lambda: words(world_of()))

    def open(self, base: ScoredBase) -> Self:
        """The same with the world's words, from ``world.json`` in the model's directory."""
        return replace(super().open(base), lexicon=words(world_of(base.directory)))
