"""Early stopping: the same template on both sides, adapters kept along the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from puretune.errors import InputError
from puretune.strategies.common import Options, tuned
from puretune.study.spec.expansion import Expansion
from puretune.study.spec.study import Study


@dataclass(frozen=True)
class EarlyStopping(Options):
    """Tune under the safe template and keep an adapter every few steps: the earliest that is helpful enough.

    The steps draw the curve of safety against helpfulness; which of them to serve is read off it at matched
    helpfulness. Source: Lyu et al. (arXiv 2402.18540), appendix, as a comparison for PTST.
    """

    name: ClassVar[str] = "early-stopping"
    every: int = 50
    """Optimiser steps between kept adapters."""

    def expand(self, study: Study) -> Expansion:
        """One condition with kept steps."""
        if self.every < 1:
            raise InputError(f"every: {self.every} is not a number of steps. Use 1 or more.")
        condition = tuned(self.title, self.safe, recipe={"keep_every": self.every})
        return self.expansion([(self.title, self.safe)], (condition,))
