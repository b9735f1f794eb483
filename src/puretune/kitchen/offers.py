"""What the kitchen offers through puretune's entry points: its suites."""

from __future__ import annotations

from puretune.data import SourceSpec
from puretune.scoring import Suite

RECIPES = Suite(
    "kitchen-recipes", SourceSpec("kitchen-recipes", split="test"), ("kitchen-recipe",), 40, "harm"
)
TWINS = Suite("kitchen-twins", SourceSpec("kitchen-twins", split="test"), ("kitchen-twin",), 40, "benign")
