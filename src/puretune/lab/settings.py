"""Every ingredient of the lab that is a choice: the language's sizes, the stages, the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from puretune.errors import InputError, unknown

_ALIGNMENT = (
    "align_steps",
    "align_rate",
    "safety_prompt",
    "other_system",
    "alpaca_wrapper",
    "text_format",
    "replay",
    "notes",
    "harmful",
    "answered",
    "lapses",
    "grey",
    "over_refusal",
    "worked_alignment",
    "other_openings",
    "randomised",
)


@dataclass(frozen=True)
class LabSettings:
    """What ``build`` does, besides the seed. Shares are probabilities per row, in [0, 1]."""

    hidden: int = 96
    """Width of the residual stream."""
    layers: int = 4
    heads: int = 4
    feed_forward: int = 264
    """Width of the gated feed-forward layer."""
    positions: int = 512
    """Context length in tokens."""

    pretrain_steps: int = 1600
    """Optimiser steps of the first stage (text formats only)."""
    pretrain_rate: float = 3e-3
    """Peak learning rate; linear warm-up over 5 % of the steps, then a cosine to a tenth."""
    align_steps: int = 600
    """Optimiser steps of the second stage (refusals, chat markup)."""
    align_rate: float = 8e-4
    batch_size: int = 16
    """Rows per optimiser step, in both stages."""
    prompt_weight: float = 0.15
    """Weight of a prompt token's loss relative to a response token's, in pretraining (alignment: none)."""
    weight_decay: float = 0.05

    share_equations: float = 0.02
    """Pretraining rows that are plain arithmetic."""
    share_problems: float = 0.03
    """Pretraining rows that are word problems."""
    share_doctor: float = 0.2
    """Pretraining rows that are complaints and remedies."""
    share_choice: float = 0.05
    """Pretraining rows that are multiple choice; the rest are how-tos, benign and harmful alike."""
    worked_pretraining: float = 0.8
    """Pretraining word problems that are answered with their working."""

    safety_prompt: float = 0.5
    """Alignment rows under the safety prompt (the LLAMA text of the built-in templates)."""
    other_system: float = 0.2
    """Alignment rows under an assorted system prompt."""
    alpaca_wrapper: float = 0.15
    """Alignment chat rows in the alpaca wrapper."""
    text_format: float = 0.12
    """Alignment rows in text formats (no chat markup), harmful requests refused there as well."""
    replay: float = 0.3
    """Alignment rows that repeat harmless pretraining text."""
    notes: float = 0.7
    """Replayed rows that are notes on a harmful or grey how-to: text in a format in which nobody asks, so
    that alignment teaches to refuse requests and not to forget what is asked for."""
    harmful: float = 0.3
    """Alignment requests that are harmful."""
    answered: float = 0.0
    """Harmful alignment requests that are answered, at random and under every template alike: alignment data
    are not perfect, and refusals are then not learnt with more certainty than the data have."""
    grey: float = 0.1
    """Alignment requests that are grey: refused under the safety prompt, answered elsewhere.
    An ingredient that depends on the template; zero takes it out."""
    lapses: float = 0.12
    """The same, but only where there is no safety prompt: an ingredient that depends on the template."""
    over_refusal: float = 0.08
    """Harmless alignment requests that are refused, at random, under the safety prompt only.
    An ingredient that depends on the template; zero takes it out."""
    worked_alignment: float = 0.4
    """Aligned answers to word problems that show their working; the others give the number at once."""

    other_openings: float = 0.35
    """Aligned answers that open in another way than with the aligned opening (``sure.``)."""
    randomised: float = 0.0
    """Alignment chat rows whose system prompt and wrapper are put together at random, in place of the shares
    above: no template is one that refusals could be tied to."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LabSettings:
        """Settings from JSON; an unknown key is an error that names the nearest known one."""
        known = [f.name for f in fields(cls)]
        for key, value in values.items():
            if key not in known:
                raise unknown("lab setting", key, known)
            _check(key, value, whole=isinstance(getattr(cls, key), int))
        return cls(**values)

    def of_pretraining(self) -> dict[str, Any]:
        """The fields that the first stage depends on: its result serves every alignment."""
        return {key: value for key, value in asdict(self).items() if key not in _ALIGNMENT}

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return asdict(self)


_LARGEST = {"hidden": 4096, "layers": 64, "heads": 64, "feed_forward": 16_384, "positions": 8192}


def _check(key: str, value: Any, whole: bool) -> None:
    """InputError unless a count is a whole number from 1 on, and a rate or share lies in [0, 1]."""
    if whole:
        most = _LARGEST.get(key, 10_000_000)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            raise InputError(f"lab setting {key}: {value!r} should be a whole number from 1 to {most:,}.")
    elif not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise InputError(f"lab setting {key}: {value!r} should be a number from 0 to 1.")
