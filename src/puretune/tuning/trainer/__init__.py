"""Tuning with TRL's SFTTrainer on accelerate, on the very ids and masks that the other tuners train on."""

from puretune.tuning.trainer._options import TrainerOptions
from puretune.tuning.trainer.tuner import TrainerTuner

__all__ = ["TrainerOptions", "TrainerTuner"]
