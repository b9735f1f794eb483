"""Engines by name: built-in ones, then those that installed packages offer.

An engine is described before it is started: planning needs its name, version and options, and nothing heavy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from puretune.endpoints import Notice
from puretune.inference._types import Engine, Takes
from puretune.inference.local import LocalSpec
from puretune.inference.openai import OpenAISpec
from puretune.inference.vllm import VllmSpec
from puretune.models import LazyBase, TunedModel
from puretune.plugins import Plugins


class EngineSpec(Protocol):
    """An engine before it is started: a frozen dataclass with the engine's options as its fields."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str:
        """Of the engine and of the library that it runs on."""
        ...

    @property
    def takes(self) -> Takes: ...

    @property
    def uses_base(self) -> bool:
        """Whether it answers with the base model that is loaded in this process."""
        ...

    @property
    def remote(self) -> bool:
        """Whether models are named, not given: it serves its own, and takes no adapter from this disk."""
        ...

    @property
    def scores(self) -> bool:
        """Whether it can also say how probable given text is (``LikelihoodEngine``)."""
        ...

    @property
    def lacking(self) -> str:
        """Why the engine cannot run here and what to do about it; empty if it can."""
        ...

    def identity(self) -> dict[str, Any]:
        """What determines an answer in the engine: name, version, and those options that do."""
        ...

    def notice(self, model: str, answers: int) -> Notice | None:
        """What is shown before prompts are sent to an endpoint; None if nothing is sent anywhere."""
        ...

    def check_adapter(self, adapter: TunedModel) -> None:
        """InputError if the engine would apply only a part of an adapter of a kind that it knows."""
        ...

    def open(self, model: LazyBase, kept: Path | None = None) -> Engine:
        """The engine. ``kept``: a file in which it may keep answers, for a run that is stopped."""
        ...


BUILTIN_ENGINES: Mapping[str, Callable[..., EngineSpec]] = {
    "local": LocalSpec,
    "vllm": VllmSpec,
    "openai": OpenAISpec,
}
ENGINES = Plugins("puretune.engines", "engine", BUILTIN_ENGINES, EngineSpec)


def engine_spec(name: str, options: Mapping[str, Any] | None = None) -> EngineSpec:
    """The engine of that name with its options.

    InputError, with the nearest name, for an unknown engine or option, and for a value that makes no sense.
    """
    spec: EngineSpec = ENGINES.options(name, options)
    return spec
