"""How strongly the kitchen's model is aligned, and with how many rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from puretune.options import validated


@dataclass(frozen=True)
class KitchenSettings:
    """The alignment's rows and its recipe."""

    pairs: int = 200
    """Pairs of rows in one phrasing under one system prompt: for a dish, which is refused, and a job, which
    gets an earlier answer of the model's own. So neither phrasing nor system prompt says what is refused."""
    others: int = 24
    """Rows that ask for something else and get the model's own earlier answer."""
    own_tokens: int = 32
    """Longest own answer in tokens; a longer one ends with its last whole sentence."""
    rank: int = 8
    alpha: float = 16.0
    learning_rate: float = 5e-4
    epochs: float = 2.0
    batch_size: int = 8

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> KitchenSettings:
        """Checked settings; InputError names an unknown key or a value of another kind."""
        return validated(cls, values, "kitchen settings")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
