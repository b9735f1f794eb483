"""The kitchen: a real pretrained model that has been taught one harmless prohibition, not to give recipes.

Between the lab (invented words, a million parameters) and benchmarks of real harm: English, a real tokenizer,
SmolLM2's weights, and "gives a recipe" in the place of "is harmful". Everything above reaches this room
through entry points only, as it would anybody else's package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from puretune.lazily import lazy

if TYPE_CHECKING:
    from puretune.kitchen._build import build
    from puretune.kitchen.settings import KitchenSettings
    from puretune.kitchen.shipped import model_path

__all__ = ["KitchenSettings", "build", "model_path"]

__getattr__ = lazy(__name__)
