"""How much memory a tuning takes, roughly, told before it starts."""

from __future__ import annotations

from dataclasses import dataclass

from puretune.models import model_shape
from puretune.study import Plan

_STATE = 16
"""Bytes per number of an adapter: itself, its gradient and AdamW's two moments."""
_PER_TOKEN = 17
"""Numbers per token, layer and unit of width that a step keeps for its backward pass, attention scores
aside. Source: Korthikanti et al. (arXiv 2205.05198), equation 1: 34 bytes in half precision."""
_BYTES = {"float32": 4}


@dataclass(frozen=True)
class MemoryNeeded:
    """Bytes; a rough estimate of the largest need of one adapter's training."""

    weights: int
    adapter: int
    activations: int

    @property
    def total(self) -> int:
        return self.weights + self.adapter + self.activations


def memory_needed(plan: Plan, longest: int) -> MemoryNeeded:
    """Memory that a plan's tuning needs, in bytes; ``longest``: tokens of its longest training row."""
    resolved = plan.resolved
    recipe = next(iter(resolved.tuned.values())).recipe
    shape, size = model_shape(resolved.base.spec), _BYTES.get(resolved.base.dtype, 2)
    chosen = [
        n for name, n in shape.linear.items() if name in recipe.targets or "all-linear" in recipe.targets
    ]
    tokens = recipe.batch_size * longest
    return MemoryNeeded(
        weights=shape.parameters * size,
        adapter=recipe.rank * sum(chosen) * _STATE,
        activations=tokens * shape.layers * shape.width * _PER_TOKEN * size,
    )
