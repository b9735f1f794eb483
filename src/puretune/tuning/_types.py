"""The recipe, the task, and the protocol of a tuner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from puretune.data import Example
from puretune.events import EventSink
from puretune.models import TunedModel
from puretune.templates import PromptTemplate
from puretune.tuning.losses import CROSS_ENTROPY, LossField, OwnLoss

Schedule = Literal["constant", "linear", "cosine", "step"]


@dataclass(frozen=True)
class Recipe:
    """LoRA fine-tuning, loss on the response only. Defaults: the paper's where known (arXiv 2402.18540)."""

    rank: int = 8
    alpha: float = 32.0
    dropout: float = 0.05
    targets: tuple[str, ...] = ("q_proj", "v_proj")
    learning_rate: float = 1e-4
    schedule: Schedule = "linear"
    """``step`` multiplies by ``decay`` after each epoch."""
    decay: float = 0.85
    warmup: float = 0.0
    """Share of all steps spent warming up, 0 to 1."""
    epochs: float = 1.0
    steps: int | None = None
    """Optimiser steps; overrides ``epochs``."""
    batch_size: int = 4
    """Rows per micro-batch."""
    accumulation: int = 1
    """Micro-batches per optimiser step."""
    weight_decay: float = 0.0
    clip: float | None = 1.0
    """Largest gradient norm; None: no clipping."""
    loss: LossField = CROSS_ENTROPY
    """What is minimised for each trained token: ``cross-entropy``, ``constrained-sft``, ``kl-anchor``,
    ``logit-replay``, or one that an installed package offers; a mapping gives it options."""
    ema: float | None = None
    """Keep the exponential moving average of the adapter's weights over the steps, with this decay, in place
    of the weights; it begins at the start of training. None: the weights as they are."""
    max_length: int | None = None
    """Longest row in tokens; a longer one is an error, never cut. None: the model's context."""
    keep: tuple[int, ...] = ()
    """Optimiser steps after which an adapter is kept besides the last one (early-stopping curves)."""
    keep_every: int | None = None
    """Also keep an adapter after every N optimiser steps."""
    checkpoint_every: int = 50
    """Optimiser steps between resume points."""
    checkpoint_minutes: float = 5.0
    """Maximum minutes between resume points, however long a step takes."""

    def said(self) -> dict[str, Any]:
        """All settings, as JSON values."""
        return {**asdict(self), "loss": self.loss.said()}

    def decisive(self) -> dict[str, Any]:
        """The fields that determine the trained weights: not what is kept on the way."""
        left_out = ("keep", "keep_every", "checkpoint_every", "checkpoint_minutes", "loss", "ema")
        said = {name: value for name, value in self.said().items() if name not in left_out}
        loss = {"loss": self.loss.identity()} if self.loss != CROSS_ENTROPY else {}
        return {**said, **loss, **({"ema": self.ema} if self.ema is not None else {})}


@dataclass(frozen=True)
class TrainingRow:
    """An untokenised example and the template it is trained under (a mix may use several)."""

    example: Example
    template: PromptTemplate
    loss: OwnLoss = None
    """None: the recipe's."""


@dataclass(frozen=True)
class TuningTask:
    """What a tuner is given: rows to train on with one recipe and seed, and where the adapters go."""

    name: str
    rows: tuple[TrainingRow, ...]
    recipe: Recipe
    seed: int
    out: Path
    """Directory for this task: ``out/step-N`` per kept step, ``out/resume`` while it runs."""
    start: TunedModel | None = None
    """The adapter that training starts from, or None."""


class Tuner(Protocol):
    """Trains tasks on one frozen base; yields (task, optimiser step, adapter) as they are kept."""

    name: str
    version: str

    def tune(
        self, tasks: Sequence[TuningTask], on_event: EventSink
    ) -> Iterator[tuple[TuningTask, int, TunedModel]]: ...
