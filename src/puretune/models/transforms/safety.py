"""What tuning moved away from safety, put right in the layers where it did so most.

The direction of safety in a layer is what alignment changed: V = W_aligned - W_unaligned, and C = V V' / |V|.
A layer is far from it where cos(C B A, B A) <= tau. C scales with V and is no projection (C C is not C); that
is how the sources define it. Needs the weights of the base before its alignment.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from puretune.errors import InputError
from puretune.lazily import load
from puretune.models._fingerprint import fingerprint
from puretune.models._resolve import resolve_model_path
from puretune.models._types import ModelSpec

if TYPE_CHECKING:
    from puretune.models._lazy_base import LazyBase
    from puretune.models.transforms._types import Change


@dataclass(frozen=True)
class SafeLora:
    """Replaces B by C B in layers that are far from the direction of safety.

    Source: Safe LoRA (Hsu et al., arXiv 2405.16833). A warning: safety may not lie in linear subspaces
    (arXiv 2505.14185).
    """

    unaligned: str
    """The base before its alignment: a directory or hub id."""
    tau: float = 0.5
    """The cosine up to which a layer is changed."""
    layers: int | None = None
    """In place of ``tau``: how many layers are changed, those with the lowest cosine."""

    name = "safe-lora"
    version = "1"
    others = ()

    def __post_init__(self) -> None:
        _check(self.name, self.tau)
        if self.layers is not None and self.layers < 1:
            raise InputError(f"transform {self.name!r}: layers is {self.layers}. Give 1 or more, or `tau`.")

    def identity(self) -> dict[str, Any]:
        how = {"tau": self.tau} if self.layers is None else {"layers": self.layers}
        return {"name": self.name, "version": self.version, **_of(self.unaligned), **how}

    def open(self, base: LazyBase) -> Change:
        projected = load("puretune.models.transforms.direction:projected")
        return lambda adapter: projected(adapter, base.path, _path(self.unaligned), self.tau, self.layers)


@dataclass(frozen=True)
class SafeMerge:
    """Adds another adapter, tuned on refusals, in layers that are far from the direction of safety.

    Source: SafeMERGE (Djuhera et al., arXiv 2503.17239).
    """

    unaligned: str
    """The base before its alignment: a directory or hub id."""
    with_: str
    """The safety adapter: a condition of the study, seed by seed, or a directory in PEFT format."""
    tau: float = 0.35
    """The cosine up to which a layer is merged."""
    weights: tuple[float, float] = (0.8, 0.2)
    """Of this adapter and of the safety adapter, there."""

    name = "safe-merge"
    version = "1"

    def __post_init__(self) -> None:
        _check(self.name, self.tau, *self.weights)

    @property
    def others(self) -> tuple[str, ...]:
        return (self.with_,)

    def identity(self) -> dict[str, Any]:
        how = {"tau": self.tau, "weights": list(self.weights)}
        return {"name": self.name, "version": self.version, **_of(self.unaligned), **how}

    def open(self, base: LazyBase) -> Change:
        merged = load("puretune.models.transforms.direction:merged_where_far")
        return lambda adapter, other: merged(
            adapter, other, base.path, _path(self.unaligned), self.tau, self.weights
        )


def _check(name: str, *numbers: float) -> None:
    if not all(math.isfinite(number) for number in numbers):
        raise InputError(f"transform {name!r}: tau and weights must be finite numbers.")


def _of(unaligned: str) -> dict[str, str]:
    return {"unaligned": fingerprint(ModelSpec(unaligned))}


def _path(unaligned: str) -> Any:
    return resolve_model_path(ModelSpec(unaligned))
