"""Names that are imported when they are first used, so that ``import puretune`` loads no heavy library."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from inspect import getsource
from typing import Any


def lazy(package: str) -> Callable[[str], Any]:
    """The ``__getattr__`` (PEP 562) of a package whose names are imported under ``if TYPE_CHECKING``."""
    blocks = [node for node in ast.parse(getsource(sys.modules[package])).body if isinstance(node, ast.If)]
    imports = [node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom)]
    homes = {
        alias.asname or alias.name: f"{node.module}:{alias.name}" for node in imports for alias in node.names
    }

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return load(homes[name])

    return get


def load(path: str) -> Any:
    """What ``module:Name`` names."""
    module, name = path.split(":")
    return getattr(import_module(module), name)
