"""The tiny world: a synthetic language, its aligned model, its rubrics; the embedded default of puretune.

Everything above reaches this room through entry points only, as it would anybody else's package.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from puretune.lab.language import World
from puretune.lab.settings import LabSettings
from puretune.lab.sources import PACKAGED, examples
from puretune.lazily import lazy

if TYPE_CHECKING:
    from puretune.lab._build import build

__all__ = ["LabSettings", "World", "build", "examples", "model_path"]


def model_path() -> Path:
    """The directory of the packaged model: Hugging Face format, about a million parameters, a few MB."""
    return PACKAGED


__getattr__ = lazy(__name__)
