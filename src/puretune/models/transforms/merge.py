"""Two adapters in one."""

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
class Merge:
    """Adds two adapters with weights. Exact: their ranks are put side by side, nothing is approximated."""

    with_: str
    """The other adapter: a condition of the study, seed by seed, or a directory in PEFT format."""
    weights: tuple[float, float] = (0.5, 0.5)
    """Of this adapter and of the other one."""

    name = "merge"
    version = "1"

    def __post_init__(self) -> None:
        if not all(math.isfinite(weight) for weight in self.weights):
            raise InputError(f"transform 'merge': weights are {list(self.weights)}. Give finite numbers.")

    @property
    def others(self) -> tuple[str, ...]:
        return (self.with_,)

    def identity(self) -> dict[str, Any]:
        return {"name": self.name, "version": self.version, "weights": list(self.weights)}

    def open(self, base: LazyBase) -> Change:
        weighted = load("puretune.models.transforms.low_rank:weighted_sum")
        return lambda *adapters: weighted(self.weights, adapters)
