"""A mix: parts of fine-tuning data, each with its weight and perhaps its own template."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from puretune.data import Example
from puretune.errors import InputError
from puretune.templates import PromptTemplate
from puretune.tuning import Loss, TrainingRow


@dataclass(frozen=True)
class Part:
    """The examples of one part, as often as they are used."""

    examples: tuple[Example, ...]
    template: PromptTemplate | None = None
    """The part's own template; None: the condition's."""
    loss: Loss | None = None
    """The part's own loss; None: the recipe's."""


MOST_ROWS = 20_000_000
"""Rows that tuning data may come to with its weights."""


def check_size(parts: Sequence[tuple[int, float]]) -> None:
    """InputError where (examples, weight) pairs come to more rows than ``MOST_ROWS``; nothing is expanded."""
    rows = sum(math.ceil(examples * weight) for examples, weight in parts)
    if rows > MOST_ROWS:
        raise InputError(
            f"the tuning data comes to {rows:,} rows with its weights; at most {MOST_ROWS:,} are allowed. "
            "Lower `weight`."
        )


def weighted(examples: Sequence[Example], weight: float, seed: int) -> tuple[Example, ...]:
    """Each example ``weight`` times: whole copies first, then a seeded draw for the rest.

    A weight of 2 is every example twice, 0.5 a half of them (rounded up), 1.5 all of them and a half again.
    """
    whole = int(weight)
    rest = math.ceil((weight - whole) * len(examples))
    chosen = sorted(random.Random(seed).sample(range(len(examples)), rest))
    return tuple(examples) * whole + tuple(examples[place] for place in chosen)


def rows_under(parts: Sequence[Part], template: PromptTemplate) -> tuple[TrainingRow, ...]:
    """The rows that a condition is trained on, part by part (the tuner shuffles)."""
    return tuple(
        TrainingRow(example, part.template or template, part.loss)
        for part in parts
        for example in part.examples
    )
