"""What a base model in memory consists of."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from puretune.models._types import ModelSpec
from puretune.templates import Renderer


@dataclass(frozen=True)
class BaseModel:
    """A frozen base model. Nobody changes it for good: adapters are put on it and taken off again."""

    model: Any = field(repr=False)
    """The transformers model, in evaluation mode, no parameter requiring a gradient."""
    tokenizer: Any = field(repr=False)
    renderer: Renderer = field(repr=False)
    context_length: int
    """Longest sequence in tokens, prompt and answer together."""
    fingerprint: str
    spec: ModelSpec
    path: Path

    @property
    def device(self) -> Any:
        """The ``torch.device`` of the weights."""
        return self.model.device

    @property
    def device_type(self) -> str:
        """``cpu``, ``cuda`` or ``mps``."""
        return str(self.model.device.type)

    @property
    def threads(self) -> int | None:
        """CPU threads that make its sums; None on a GPU."""
        import torch

        return torch.get_num_threads() if self.device_type == "cpu" else None

    @property
    def dtype_name(self) -> str:
        """``float32``, ``bfloat16`` or ``float16``."""
        return str(self.model.dtype).removeprefix("torch.")
