"""The ranges of numbers and the kinds of text that a study file may hold.

The bounds are far beyond what anybody needs and well within what memory, torch and the plan can take: a slip
(1e30 for 1e-3) is an error in the file, not an hour of waiting.
"""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from puretune.visible import quoted


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} is not a number.")
    return value


def _one_line(value: str) -> str:
    wrong = next((char for char in value if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")), None)
    if wrong is not None:
        raise ValueError(f"{quoted(value, 60)} has a character that no name can have (U+{ord(wrong):04X}).")
    if not value.strip():
        raise ValueError("the name is empty.")
    return value


def _temperature(value: float) -> float:
    """The temperature, where it is 0 (greedy) or far enough from it to divide by."""
    if 0 < value < 0.01:
        raise ValueError(
            f"temperature {value:g} is too close to 0. Use 0 for greedy decoding, or 0.01 and more."
        )
    return value


_Number = BeforeValidator(_no_bool)

Rank = Annotated[int, _Number, Field(ge=1, le=65_536)]
Count = Annotated[int, _Number, Field(ge=1, le=100_000_000)]
"""Rows, steps, tokens."""
Few = Annotated[int, _Number, Field(ge=1, le=65_536)]
"""Rows of a batch, batches of a step, threads."""
Samples = Annotated[int, _Number, Field(ge=1, le=10_000)]
Seed = Annotated[int, _Number, Field(ge=0, lt=2**63)]
Alpha = Annotated[float, _Number, Field(ge=1e-6, le=1e6)]
LearningRate = Annotated[float, _Number, Field(ge=1e-12, le=10)]
Dropout = Annotated[float, _Number, Field(ge=0, lt=1)]
Share = Annotated[float, _Number, Field(ge=0, le=1)]
Decay = Annotated[float, _Number, Field(ge=1e-6, le=1)]
Epochs = Annotated[float, _Number, Field(ge=1e-6, le=10_000)]
WeightDecay = Annotated[float, _Number, Field(ge=0, le=10)]
Clip = Annotated[float, _Number, Field(ge=1e-6, le=1e6)]
Weight = Annotated[float, _Number, Field(gt=0, le=1000)]
"""How often a row is used."""
TopP = Annotated[float, _Number, Field(ge=1e-6, le=1)]
Temperature = Annotated[float, _Number, Field(ge=0, le=100), AfterValidator(_temperature)]
Label = Annotated[str, Field(max_length=200), AfterValidator(_one_line)]
"""A name on one line: of a condition, a suite, a template, a scorer."""
Note = Annotated[str, Field(max_length=10_000)]

ConditionKind = Literal["tuned", "untuned", "adapter", "checkpoint", "served"]
"""What answers: a model tuned in the study, the base as it is, or something that existed before."""
