"""Coherence in the lab: every word of a world is known, so a word outside it is detected."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from puretune.lab.language import World
from puretune.lab.sources import world_of
from puretune.lab.vocabulary import texts
from puretune.models import ModelSpec
from puretune.scoring import Coherence, Limits, Meter


class LabCoherence(Coherence):
    """:class:`Coherence` with the words of the world that a study's model belongs to, by default the
    packaged model's."""

    name = "lab-coherence"

    def __init__(
        self, limits: Limits | None = None, meter: Meter | None = None, words: frozenset[str] | None = None
    ) -> None:
        super().__init__(limits, meter, words or lexicon(world_of()))

    def on_base(self, spec: ModelSpec, fingerprint: str, directory: Path) -> Coherence:
        """The same with the world's words, from ``world.json`` in the model's directory."""
        return LabCoherence(self.limits, self.meter, lexicon(world_of(directory)))


@lru_cache(maxsize=4)
def lexicon(world: World) -> frozenset[str]:
    """Every word, in lower case, that any stage, suite or built-in template of a world has."""
    return frozenset(word for text in texts(world) for word in re.findall(r"[^\W\d_]+", text.casefold()))
