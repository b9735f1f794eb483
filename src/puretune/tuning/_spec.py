"""A tuner before there is a model to tune: its options, and what a plan asks about it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from puretune.endpoints import Consent, Notice, loopback_only
from puretune.lazily import load
from puretune.models import BaseModel, LazyBase, ModelSpec
from puretune.tuning._types import Recipe, Tuner, TuningTask
from puretune.tuning.losses import CROSS_ENTROPY, Loss


class TunerSpec(Protocol):
    """A frozen dataclass with a tuner's options as its fields, each with a default."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def remote(self) -> bool:
        """Whether it tunes models that stay with their provider."""
        ...

    @property
    def whole(self) -> bool:
        """Whether it tunes all weights and makes checkpoints, not adapters."""
        ...

    def identity(self) -> Mapping[str, Any]:
        """What a key says about it: name, version, and the options that can change a trained weight."""
        ...

    def unable(self, recipe: Recipe, losses: Collection[Loss]) -> str:
        """Why it cannot minimise these losses or average weights as the recipe says; "" if it can."""
        ...

    def notice(self, model: ModelSpec, tasks: Sequence[TuningTask]) -> Notice | None:
        """What is shown before rows are sent to an endpoint; None if nothing is sent anywhere."""
        ...

    def open(self, base: BaseModel | LazyBase, consent: Consent = loopback_only) -> Tuner:
        """The tuner for a base model. ``consent`` is asked before anything is sent elsewhere."""
        ...


def beyond_cross_entropy(tuner: str, recipe: Recipe, losses: Collection[Loss]) -> str:
    """What a tuner that knows cross-entropy alone cannot do of this; "" if it can do all."""
    other = next((f"loss {loss.name!r}" for loss in losses if loss != CROSS_ENTROPY), None)
    what = other or ("recipe.ema" if recipe.ema is not None else None)
    return f"tuner {tuner!r} has no {what}. Use the tuner gang, loop or trainer." if what else ""


class LocalTuner:
    """What tuners on this machine have in common: the base of the dataclass of their options."""

    name: ClassVar[str]
    version: ClassVar[str]
    opens: ClassVar[str]
    """``module:Class`` of the tuner, which is made of a base model and these options."""
    remote: ClassVar[bool] = False
    any_loss: ClassVar[bool] = False
    """Whether it asks the rows' losses for what it minimises; False: cross-entropy is all it knows."""

    @property
    def whole(self) -> bool:
        """Adapters are what most tuners make."""
        return False

    def inputs(self) -> dict[str, Any]:
        """The options that can change a trained weight, as JSON values."""
        return {}

    def identity(self) -> dict[str, Any]:
        """What a key says about the tuner."""
        return {"name": self.name, "version": self.version, **self.inputs()}

    def unable(self, recipe: Recipe, losses: Collection[Loss]) -> str:
        """Nothing but cross-entropy, unless it says otherwise."""
        return "" if self.any_loss else beyond_cross_entropy(self.name, recipe, losses)

    def notice(self, model: ModelSpec, tasks: Sequence[TuningTask]) -> None:
        """Nothing leaves this machine."""

    def open(self, base: BaseModel | LazyBase, consent: Consent = loopback_only) -> Tuner:
        """The tuner for a base model, whose weights are loaded if they are not."""
        tuner: Tuner = load(self.opens)(base.base if isinstance(base, LazyBase) else base, self)
        return tuner
