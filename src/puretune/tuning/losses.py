"""Losses by name: what is minimised for each trained token, by every tuner on this machine.

A recipe has one loss for all its rows, and a part of a mix may have another one. Packages offer more through
the entry-point group ``puretune.losses``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from puretune.errors import InputError
from puretune.lazily import load
from puretune.plugins import Plugins

if TYPE_CHECKING:
    from torch import Tensor

    from puretune.tuning._loss_formulas import Chunk

    TokenLoss = Callable[[Chunk], Tensor]


@dataclass(frozen=True)
class Loss(ABC):
    """A loss: the base of the frozen dataclass of its options."""

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    reference: ClassVar[bool] = False
    """Whether it compares with the untuned model, whose logits it is then given."""

    def __post_init__(self) -> None:
        """InputError for an option that is no number of 0 or more."""
        for name, value in asdict(self).items():
            if isinstance(value, float) and not (math.isfinite(value) and value >= 0):
                raise InputError(f"loss {self.name!r}: {name} is {value}. Give a number of 0 or more.")

    def said(self) -> dict[str, Any]:
        """Name and options, as a study file has them."""
        return {"name": self.name, **asdict(self)}

    def identity(self) -> dict[str, Any]:
        """What a key says about it: name, version and options."""
        return {"name": self.name, "version": self.version, **asdict(self)}

    @abstractmethod
    def open(self) -> TokenLoss:
        """The function from some trained tokens to their losses, [tokens] in nats; differentiable in the
        chunk's logits."""


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Minus the log-probability of the token: supervised fine-tuning."""

    name: ClassVar[str] = "cross-entropy"

    def open(self) -> TokenLoss:
        """``-log p``."""
        formula: TokenLoss = load("puretune.tuning._loss_formulas:cross_entropy")
        return formula


@dataclass(frozen=True)
class ConstrainedSFT(Loss):
    """Cross-entropy that counts less where a token is already likelier than under the untuned model.

    Source: Qi et al. (arXiv 2406.05946), section 4. Per response token the loss is ``w x -log p`` with
    ``w = 2 (1 - sigmoid(beta D))``, ``D = log p - log p_untuned``; w has no gradient and is at least
    ``floor``. At first it is 1. Only tokens whose beta is high are held near the untuned model.
    """

    first: float = 0.5
    """Beta of the response's first token."""
    early: float = 2.0
    """Beta of its tokens 2 to 5."""
    later: float = 0.1
    """Beta of all that follow."""
    floor: float = 1e-3
    """The least that a token counts."""

    name: ClassVar[str] = "constrained-sft"
    reference: ClassVar[bool] = True

    def open(self) -> TokenLoss:
        """``w x -log p``."""
        formula = load("puretune.tuning._loss_formulas:constrained")
        return lambda chunk: formula(chunk, (self.first, self.early, self.later), self.floor)


@dataclass(frozen=True)
class KLAnchor(Loss):
    """Stay near the untuned model on these rows: ``weight x KL(untuned || tuned)`` of every response token.

    Source: a regulariser in arXiv 2508.06249. It is a loss for anchors, the rows of a second part of a mix;
    the rest of the mix has the recipe's loss. A step takes the mean over all its trained tokens, so that the
    number of anchors counts as well as ``weight``.
    """

    weight: float = 1.0
    """Lambda."""

    name: ClassVar[str] = "kl-anchor"
    reference: ClassVar[bool] = True

    def open(self) -> TokenLoss:
        """``weight x sum p_untuned (log p_untuned - log p)``."""
        formula = load("puretune.tuning._loss_formulas:kl_from_reference")
        return lambda chunk: self.weight * formula(chunk)


@dataclass(frozen=True)
class LogitReplay(Loss):
    """Replayed rows: learn their answers, and match the untuned model's logits on them.

    Source: dark experience replay, DER++ (Buzzega et al., arXiv 2004.07211; for safety: arXiv 2512.10150).
    Per response token: ``answers x -log p + logits x mean (z - z_untuned)^2`` over the vocabulary. What was
    left out: logits that are kept from an earlier model; here it is always the untuned one.
    """

    logits: float = 0.5
    """Weight of the squared difference of the logits (alpha in the source)."""
    answers: float = 0.5
    """Weight of the cross-entropy (beta); 0 is plain DER."""

    name: ClassVar[str] = "logit-replay"
    reference: ClassVar[bool] = True

    def open(self) -> TokenLoss:
        """``answers x -log p + logits x mean (z - z_untuned)^2``."""
        entropy = load("puretune.tuning._loss_formulas:cross_entropy")
        squares = load("puretune.tuning._loss_formulas:squared_difference")
        return lambda chunk: self.answers * entropy(chunk) + self.logits * squares(chunk)


LOSSES = Plugins(
    "puretune.losses",
    "loss",
    {one.name: one for one in (CrossEntropy, ConstrainedSFT, KLAnchor, LogitReplay)},
    Loss,
)
CROSS_ENTROPY = CrossEntropy()


def loss_named(name: str, options: Mapping[str, Any] | None = None) -> Loss:
    """The loss of that name with ``options``; InputError names a wrong name, option or value."""
    made: Loss = LOSSES.options(name, options)
    return made


def _read(said: Any) -> Any:
    """A loss as a study file has it: a name, or a mapping of ``name`` and options."""
    if isinstance(said, Loss):
        return said
    try:
        if isinstance(said, str):
            return loss_named(said)
        if isinstance(said, Mapping) and isinstance(said.get("name"), str):
            return loss_named(said["name"], {key: value for key, value in said.items() if key != "name"})
    except InputError as error:
        raise ValueError(str(error)) from error
    raise ValueError("give a loss's name, or a mapping of `name` and its options.")


_SCHEMA = {
    "anyOf": [
        {"type": "string"},
        {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
    ]
}

LossField = Annotated[
    Loss, PlainValidator(_read), PlainSerializer(lambda loss: loss.said()), WithJsonSchema(_SCHEMA)
]
"""A loss as the field of a section: in a file its name, or a mapping of ``name`` and options."""
OwnLoss = Annotated[
    Loss | None,
    PlainValidator(lambda said: None if said is None else _read(said)),
    PlainSerializer(lambda loss: loss and loss.said()),
    WithJsonSchema({"anyOf": [*_SCHEMA["anyOf"], {"type": "null"}]}),
]
"""The same, where None is somebody else's loss."""
