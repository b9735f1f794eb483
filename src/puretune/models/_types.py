"""The description of a base model and of an adapter on it, and number formats."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from puretune.errors import InputError
from puretune.templates import DefaultSystem, Thoughts
from puretune.visible import visible

if TYPE_CHECKING:
    from torch import Tensor

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Quantization = Literal["4bit", "8bit"]


@dataclass(frozen=True)
class ModelSpec:
    """The base model and how it is loaded."""

    model: str
    """A name offered by a package (``lab``, ``smollm2``), a directory, a GGUF file, or a hub id."""
    revision: str | None = None
    markup: str = "auto"
    """The turn markup: ``auto`` (the tokenizer's own chat template) or the name of an explicit one."""
    default_system: DefaultSystem = "forbid"
    """What to do where that chat template adds text that nobody asked for (a system message, a date, words
    after a message): ``forbid`` raises an error that shows it, ``keep`` makes it part of chat prompts."""
    thoughts: Thoughts = "refuse"
    """What to do with the thoughts of reasoning models (``<think>``), in rows and where the chat template
    opens a thinking block: ``refuse`` them (an error), ``strip`` them, or ``train`` them."""
    dtype: Dtype = "auto"
    device: str = "auto"
    threads: int | None = None
    """CPU threads; None: one for models under 20M parameters, else the physical cores that this process may
    use."""
    trust_remote_code: bool = False
    quantization: Quantization | None = None
    """Hold the weights in this many bits while they answer (bitsandbytes); tuning is not touched by it."""

    @property
    def markup_key(self) -> str:
        """Which markup renders chats, what it may add, and how thoughts are treated, for keys."""
        kept = "" if self.default_system == "forbid" else ", default system kept"
        return self.markup + kept + ("" if self.thoughts == "refuse" else f", thoughts: {self.thoughts}")


@dataclass(frozen=True)
class AdapterRef:
    """An adapter on disk in PEFT format, with the digest of its content."""

    path: Path
    digest: str
    kind: ClassVar[Literal["adapter"]] = "adapter"


@dataclass(frozen=True)
class CheckpointRef:
    """A full checkpoint on disk, with the digest of its content."""

    path: Path
    digest: str
    kind: ClassVar[Literal["checkpoint"]] = "checkpoint"


@dataclass(frozen=True)
class ServedModel:
    """A tuned model that an endpoint serves."""

    name: str
    """The provider's model id."""
    digest: str
    """Of the id, or of the file that a tuner wrote it to."""
    kind: ClassVar[Literal["served"]] = "served"


TunedModel = AdapterRef | CheckpointRef | ServedModel
"""What a condition answers with in place of the untuned base."""


def on_disk(ref: TunedModel | None) -> AdapterRef | CheckpointRef | None:
    """What an engine that loads models is given; InputError for a model that an endpoint serves."""
    if isinstance(ref, ServedModel):
        raise InputError(f"{ref.name} stays with its provider and cannot answer here. Use `engine: openai`.")
    return ref


def shown(ref: TunedModel) -> str:
    """Which one it is, for messages."""
    match ref:
        case ServedModel(name):
            return f"the served model {name!r}"
        case CheckpointRef(path):
            return f"the full checkpoint {visible(path)}"
        case AdapterRef(path):
            return f"the adapter {visible(path)}"


def served_model(name: str) -> ServedModel:
    """The tuned model that an endpoint serves under a name."""
    return ServedModel(name, hashlib.sha256(name.encode()).hexdigest())


def at_least_float32(x: Tensor) -> Tensor:
    """Half precision made float32; float64 stays."""
    return x.float() if x.dtype.itemsize < 4 else x
