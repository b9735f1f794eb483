"""Pure Tuning, Safe Testing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from puretune.strategies.common import Options, tuned
from puretune.study.spec.expansion import Expansion
from puretune.study.spec.study import Study


@dataclass(frozen=True)
class PTST(Options):
    """Tune without the safety prompt, serve with it.

    Source: Lyu et al. (arXiv 2402.18540), section 4.
    """

    name: ClassVar[str] = "ptst"

    def expand(self, study: Study) -> Expansion:
        """One condition, tuned under ``plain``, tested under ``safe``."""
        return self.expansion([(self.title, self.safe)], (tuned(self.title, self.plain),))
