"""The description of a base model and of an adapter on it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from puretune.templates import DefaultSystem, Thoughts

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
    """An adapter on disk in PEFT format (or a full checkpoint), with the digest of its content.

    ``served``: a tuned model that an endpoint serves; its name there takes the place of a path.
    """

    path: Path
    digest: str
    kind: Literal["adapter", "checkpoint", "served"] = "adapter"
    served: str = ""
    """The model's name at the endpoint."""


def served_ref(name: str) -> AdapterRef:
    """A tuned model that an endpoint serves under a name (a provider's model id)."""
    return AdapterRef(Path(), hashlib.sha256(name.encode()).hexdigest(), "served", name)
