"""puretune: fine-tune under one prompt template, test under another, measure what it costs in safety.

The names below are imported when they are first used, so that ``import puretune`` stays fast.
"""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

from puretune.lazily import lazy

if TYPE_CHECKING:
    from puretune.data import Example
    from puretune.errors import PuretuneError
    from puretune.study import Matrix, Study
    from puretune.study import run_study as run
    from puretune.templates import Message, PromptTemplate, Renderer

__version__ = metadata.version("puretune")
__all__ = [
    "Example",
    "Matrix",
    "Message",
    "PromptTemplate",
    "PuretuneError",
    "Renderer",
    "Study",
    "__version__",
    "run",
]

__getattr__ = lazy(__name__)
