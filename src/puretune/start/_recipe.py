"""A sane recipe for a model's size and a number of rows, each setting with its source."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class _Size:
    most: float
    """Parameters up to which it holds."""
    learning_rate: float
    source: str


SIZES = (
    _Size(20e6, 1e-3, "the lab's studies in puretune (the study first-steps)"),
    _Size(1e9, 5e-4, "puretune's alignment of a model of 135 million (docs/studies/kitchen.md)"),
    _Size(20e9, 1e-4, "Lyu et al., arXiv 2402.18540, for 7 billion"),
    _Size(math.inf, 1e-4, "QLoRA, arXiv 2305.14314, for 33 and 65 billion"),
)
"""Learning rates of LoRA by model size. A higher one erodes more safety (Kim, arXiv 2508.12531)."""


def recipe(parameters: int, rows: int, targets: tuple[str, ...]) -> dict[str, tuple[Any, str]]:
    """Setting -> value and reason."""
    size = next(one for one in SIZES if parameters <= one.most)
    accumulation = 4 if rows >= 320 else 2 if rows >= 64 else 1
    epochs = 3 if rows < 2_000 else 2 if rows < 20_000 else 1
    return {
        "learning_rate": (size.learning_rate, size.source),
        "rank": (8, "with alpha 32 and dropout 0.05: the fork that Lyu et al. most likely used"),
        "alpha": (32, ""),
        "dropout": (0.05, ""),
        "targets": (list(targets), "queries and values, where they have layers of their own"),
        "epochs": (epochs, f"for {rows:,} rows; more passes cost more safety (arXiv 2508.12531)"),
        "batch_size": (4, f"with accumulation {accumulation}: {4 * accumulation} rows a step"),
        "accumulation": (accumulation, ""),
    }
