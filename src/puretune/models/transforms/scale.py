"""The adapter, weaker or stronger."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from puretune.errors import InputError
from puretune.lazily import load

if TYPE_CHECKING:
    from puretune.models._lazy_base import LazyBase
    from puretune.models.transforms._types import Change


@dataclass(frozen=True)
class Scale:
    """Multiplies what the adapter adds to each layer (task arithmetic: Ilharco et al., arXiv 2212.04089)."""

    alpha: float
    """1: the adapter as it is; 0: the untuned model; below 0: away from what was learnt."""

    name = "scale"
    version = "1"
    others = ()

    def __post_init__(self) -> None:
        if not math.isfinite(self.alpha):
            raise InputError(f"transform 'scale': alpha is {self.alpha}. Give a finite number.")

    def identity(self) -> dict[str, Any]:
        return {"name": self.name, "version": self.version, "alpha": self.alpha}

    def open(self, base: LazyBase) -> Change:
        weighted = load("puretune.models.transforms.low_rank:weighted_sum")
        return lambda adapter: weighted([self.alpha], [adapter])
