"""puretune: fine-tune under one prompt template, test under another, measure what it costs in safety.

The names below are imported when they are first used, so that ``import puretune`` stays fast.
"""

from __future__ import annotations

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from puretune.data import Example
    from puretune.errors import PuretuneError
    from puretune.study import Study
    from puretune.templates import Message, PromptTemplate, Renderer

__version__ = metadata.version("puretune")
__all__ = ["Example", "Message", "PromptTemplate", "PuretuneError", "Renderer", "Study", "__version__"]

_HOME = {
    "Example": "puretune.data",
    "Message": "puretune.templates",
    "PromptTemplate": "puretune.templates",
    "PuretuneError": "puretune.errors",
    "Renderer": "puretune.templates",
    "Study": "puretune.study",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'puretune' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
