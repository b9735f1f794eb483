"""A base model whose parts are loaded when they are first needed, and can be released."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from puretune import memory
from puretune.events import EventSink, Finished, Started, ignore
from puretune.lazily import load
from puretune.models._base_model import BaseModel
from puretune.models._hardware import free_memory
from puretune.models._library_errors import SMALLER
from puretune.models._resolve import resolve_model_path
from puretune.models._tokenizer import context_length, renderer_for
from puretune.models._types import ModelSpec
from puretune.templates import Renderer

_WORK = "load model"


class LazyBase:
    """What an engine or a tuner may need of a base model; the weights only for those that ask for them."""

    def __init__(self, spec: ModelSpec, on_event: EventSink = ignore) -> None:
        self.spec = spec
        self._on_event = on_event

    @cached_property
    def path(self) -> Path:
        """The model's directory, weights included."""
        return resolve_model_path(self.spec)

    @cached_property
    def renderer(self) -> Renderer:
        """Tokenizer, turn markup and stop ids."""
        return renderer_for(self.spec)

    @cached_property
    def context_length(self) -> int:
        """Longest sequence in tokens."""
        return context_length(resolve_model_path(self.spec, weights=False))

    @cached_property
    def base(self) -> BaseModel:
        """The model in memory. EnvironmentFault if its device is missing or too small."""
        self._on_event(Started(_WORK))
        with memory.enough(f"load {self.path}", SMALLER):  # torch alone takes hundreds of megabytes
            load_base = load("puretune.models._load:load_base")
        loaded: BaseModel = load_base(self.spec, self.renderer)
        self._on_event(Finished(_WORK, self.spec.model))
        return loaded

    def release(self) -> None:
        """Let the weights go, for an engine that brings its own."""
        if self.__dict__.pop("base", None) is not None:
            free_memory()
