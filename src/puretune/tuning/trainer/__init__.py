"""Tuning with TRL's SFTTrainer on accelerate, on the very ids and masks that the other tuners train on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puretune.lazily import lazy

if TYPE_CHECKING:
    from puretune.tuning.trainer._options import TrainerOptions
    from puretune.tuning.trainer.tuner import TrainerTuner

__all__ = ["TrainerOptions", "TrainerTuner"]

__getattr__ = lazy(__name__)
