"""The two references of every table: the untuned model, and the same template on both sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from puretune.strategies.common import Options, tuned
from puretune.study.spec.expansion import Expansion
from puretune.study.spec.sections import UNTUNED, TrainSection
from puretune.study.spec.study import Study


@dataclass(frozen=True)
class Untuned(Options):
    """The base model as it is, tested with and without the safety prompt."""

    name: ClassVar[str] = "untuned"

    def expand(self, study: Study) -> Expansion:
        """Nothing is tuned."""
        return self.expansion(
            ((UNTUNED, self.plain), (UNTUNED, self.safe)), (TrainSection(template=UNTUNED),)
        )


@dataclass(frozen=True)
class SameTemplate(Options):
    """Tune under the template with the safety prompt and serve under the same one: what most tools do.

    Source: Lyu et al. (arXiv 2402.18540), section 3, where it costs the most safety.
    """

    name: ClassVar[str] = "same-template"

    def expand(self, study: Study) -> Expansion:
        """One condition, tested under the template it was tuned under."""
        return self.expansion([(self.title, self.safe)], (tuned(self.title, self.safe),))
