"""The local engine before it is started: its options, which a plan needs without torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from puretune.errors import InputError
from puretune.inference._types import Takes
from puretune.lazily import load
from puretune.models import BaseModel, LazyBase, TunedModel

if TYPE_CHECKING:
    from puretune.inference._local_engine import LocalEngine


@dataclass(frozen=True)
class LocalSpec:
    """The local engine before it is started. Batches decide how sums are rounded, so they are in the key."""

    batch_size: int | None = None
    """Maximum prompts per batch; None: the number that measured best (docs/performance.md)."""
    batch_tokens: int | None = None
    """Maximum tokens per batch, prompts and answers at their longest; None: by the model's cache."""
    plain: bool = True
    """Llama-like models in float32, and small ones in bfloat16 on a CPU, run as plain tensors, without their
    modules."""
    share_prefix: bool = True
    """What all prompts of a template begin with is computed once."""
    refill: bool = True
    """The next prompts enter as soon as answers are finished; otherwise when all of a batch are."""

    name = "local"
    version = "8"
    takes: ClassVar[Takes] = "ids"
    remote = False
    uses_base = True
    scores = True
    lacking = ""

    def __post_init__(self) -> None:
        """InputError if a value makes no sense."""
        for name in ("batch_size", "batch_tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name}: {value} is out of range. Give at least 1.")

    def identity(self) -> dict[str, Any]:
        """What determines an answer in the engine."""
        return {"name": self.name, "version": self.version, **asdict(self)}

    def notice(self, model: str, answers: int) -> None:
        """Nothing leaves this machine."""

    def check_adapter(self, adapter: TunedModel) -> None:
        """Every adapter that can be read is applied in full."""

    def open(self, model: LazyBase, kept: Path | None = None) -> LocalEngine:
        """The engine on a model that is loaded for it."""
        return self.on(model.base)

    def on(self, base: BaseModel) -> LocalEngine:
        """The engine on a loaded model."""
        engine: LocalEngine = load("puretune.inference._local_engine:LocalEngine")(base, **asdict(self))
        return engine
