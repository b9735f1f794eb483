"""What the recipe alone can do: hyper-parameters (what every other strategy must beat), or another loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from puretune.errors import InputError
from puretune.strategies.common import Options, tuned
from puretune.study.spec.expansion import Expansion
from puretune.study.spec.study import Study
from puretune.tuning import loss_named


@dataclass(frozen=True)
class TunedLearningRate(Options):
    """The same template on both sides at other learning rates: gentler tuning alone keeps some safety.

    Source: Kim et al. (arXiv 2508.12531): learning rate, steps and averaging move unsafe answers from 16 to
    5 % by keyword. Their third part, averaging, is the strategy ``ema``.
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


@dataclass(frozen=True)
class WeightAverage(Options):
    """The same template on both sides; served is the moving average of the weights along the training.

    Source: Kim et al. (arXiv 2508.12531). ``average <- decay x average + (1 - decay) x weights`` after every
    step, from the untuned model on. A and B of each layer are averaged, not their product. What was left out:
    training that steps from the average.
    """

    name: ClassVar[str] = "ema"
    decays: tuple[float, ...] = (0.9, 0.99)
    """One condition each; the closer to 1, the nearer to the untuned model."""

    def expand(self, study: Study) -> Expansion:
        """One condition for each decay."""
        if not self.decays or any(not 0 < one < 1 for one in self.decays):
            raise InputError("decays: give one or more numbers between 0 and 1, such as [0.9, 0.99].")
        named = {f"{self.title} {decay:g}": decay for decay in self.decays}
        conditions = [tuned(name, self.safe, recipe={"ema": decay}) for name, decay in named.items()]
        return self.expansion([(name, self.safe) for name in named], conditions)


@dataclass(frozen=True)
class ConstrainedSFT(Options):
    """A loss that holds the first tokens of every answer near the untuned model.

    Source: Qi et al. (arXiv 2406.05946); the loss ``constrained-sft`` has the formula. What was left out: the
    source's recipe (all weights, learning rate 2e-5, 64 rows a step, 10 steps of warm-up, Adam's first beta
    0.5): the study's recipe holds, so that only the loss differs from ``same-template``.
    """

    name: ClassVar[str] = "constrained-sft"
    first: float = 0.5
    """Beta of the answer's first token."""
    early: float = 2.0
    """Beta of its tokens 2 to 5."""
    later: float = 0.1
    """Beta of all that follow."""
    template: str = ""
    """The template to tune under; "": ``safe``."""

    def expand(self, study: Study) -> Expansion:
        """One condition with its own loss."""
        betas = {"first": self.first, "early": self.early, "later": self.later}
        loss = loss_named("constrained-sft", betas)
        condition = tuned(self.title, self.template or self.safe, recipe={"loss": loss})
        return self.expansion([(self.title, self.safe)], [condition])
