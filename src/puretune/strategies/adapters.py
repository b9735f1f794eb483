"""Strategies that change the adapter after tuning: weaker, or mixed with another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from puretune.errors import InputError
from puretune.strategies.common import Options, tuned
from puretune.study.spec.expansion import Expansion
from puretune.study.spec.study import Study


@dataclass(frozen=True)
class AdapterScaling(Options):
    """Serve the tuned adapter at less than its full strength: the frontier of safety against helpfulness.

    One condition for each alpha; 0 would be the untuned model, 1 the tuned one. They share one tuning.
    """

    name: ClassVar[str] = "adapter-scaling"
    alphas: tuple[float, ...] = (0.25, 0.5, 0.75)
    """How much of the adapter is served."""
    template: str = ""
    """The template to tune under; "": ``safe``, as with the same template on both sides."""

    def expand(self, study: Study) -> Expansion:
        """One condition for each alpha, tested under ``safe``."""
        if not self.alphas or len(set(self.alphas)) < len(self.alphas):
            raise InputError("alphas: give one or more different numbers, such as [0.25, 0.5, 0.75].")
        named = {f"{self.title} x{one:g}": {"name": "scale", "alpha": one} for one in sorted(self.alphas)}
        under, last = self.template or self.safe, {"keep": (), "keep_every": None}
        conditions = [tuned(n, under, transforms=(change,), recipe=last) for n, change in named.items()]
        return self.expansion([(name, self.safe) for name in named], conditions, curve=self.title)


@dataclass(frozen=True)
class Interpolation(Options):
    """Serve a weighted sum of the task's adapter and another one, for instance one tuned on refusals.

    In every layer alike; ``safe-merge`` chooses layers.
    """

    name: ClassVar[str] = "interpolation"
    other: str = ""
    """The other adapter: a condition of the study or a directory in PEFT format."""
    weight: float = 0.8
    """Of the task's adapter; the other one has the rest."""
    template: str = ""
    """The template to tune under; "": ``plain``."""

    def expand(self, study: Study) -> Expansion:
        """One condition, tested under ``safe``."""
        if not self.other:
            raise InputError("other: name a condition, or the directory of an adapter.")
        change = {"name": "merge", "with": self.other, "weights": [self.weight, 1 - self.weight]}
        condition = tuned(self.title, self.template or self.plain, transforms=(change,))
        return self.expansion([(self.title, self.safe)], [condition])


@dataclass(frozen=True)
class SafeLora(Options):
    """Tune as usual, then project the adapter onto what alignment changed, in layers that are far from it.

    Source: Safe LoRA (Hsu et al., arXiv 2405.16833); the transform ``safe-lora`` has the formula.
    """

    name: ClassVar[str] = "safe-lora"
    unaligned: str = ""
    """The base before its alignment: a directory or hub id."""
    tau: float = 0.5
    """The cosine up to which a layer is projected."""

    def expand(self, study: Study) -> Expansion:
        """One condition, tuned and tested under ``safe``."""
        if not self.unaligned:
            raise InputError("unaligned: name the base model before its alignment.")
        change = {"name": "safe-lora", "unaligned": self.unaligned, "tau": self.tau}
        return self.expansion([(self.title, self.safe)], [tuned(self.title, self.safe, transforms=(change,))])


@dataclass(frozen=True)
class SafeMerge(Options):
    """Tune as usual, then add a safety adapter in the layers that are far from what alignment changed.

    Source: SafeMERGE (arXiv 2503.17239); the transform ``safe-merge`` has the formula.
    """

    name: ClassVar[str] = "safe-merge"
    unaligned: str = ""
    """The base before its alignment: a directory or hub id."""
    other: str = ""
    """The safety adapter: a condition of the study or a directory in PEFT format."""

    def expand(self, study: Study) -> Expansion:
        """One condition, tuned and tested under ``safe``."""
        if not (self.unaligned and self.other):
            raise InputError("unaligned, other: name the base before its alignment and a safety adapter.")
        change = {"name": "safe-merge", "unaligned": self.unaligned, "with": self.other}
        return self.expansion([(self.title, self.safe)], [tuned(self.title, self.safe, transforms=(change,))])
