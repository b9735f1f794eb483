"""Hyper-parameters alone: the comparison that every other strategy must beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from puretune.errors import InputError
from puretune.strategies.common import Options, tuned
from puretune.study.spec.expansion import Expansion
from puretune.study.spec.study import Study


@dataclass(frozen=True)
class TunedLearningRate(Options):
    """The same template on both sides at other learning rates: gentler tuning alone keeps some safety.

    Source: Kim et al. (arXiv 2508.12531): learning rate, steps and averaging move unsafe answers from 16 to
    5 % by keyword. What was left out: the exponential moving average.
    """

    name: ClassVar[str] = "tuned-learning-rate"
    factors: tuple[float, ...] = (0.1, 0.3)
    """Times the study's learning rate; one condition each."""

    def expand(self, study: Study) -> Expansion:
        """One condition for each factor."""
        if not self.factors or any(not 0 < one <= 100 for one in self.factors):
            raise InputError("factors: give one or more numbers above 0, such as [0.1, 0.3].")
        if study.tuning is None:
            raise InputError("the study has no `tuning:` section, so there is no learning rate. Add one.")
        usual = study.tuning.recipe.learning_rate
        named = {f"{self.title} x{factor:g}": factor * usual for factor in self.factors}
        conditions = tuple(
            tuned(name, self.safe, recipe={"learning_rate": rate}) for name, rate in named.items()
        )
        return self.expansion(tuple((name, self.safe) for name in named), conditions)
