"""Transforms by name: built-in ones, then those that installed packages offer; with their options checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from puretune.models.transforms._types import Transform
from puretune.models.transforms.merge import Merge
from puretune.models.transforms.safety import SafeLora, SafeMerge
from puretune.models.transforms.scale import Scale
from puretune.plugins import Plugins

_BUILTIN: Mapping[str, type[Transform]] = {
    "scale": Scale,
    "merge": Merge,
    "safe-lora": SafeLora,
    "safe-merge": SafeMerge,
}
TRANSFORMS = Plugins("puretune.transforms", "transform", _BUILTIN, Transform)


def transform_named(name: str, options: Mapping[str, Any] | None = None) -> Transform:
    """The transform of that name with ``options``; InputError names a wrong name, option or value."""
    made: Transform = TRANSFORMS.options(name, options)
    return made
