"""Tuning: recipes, tasks, tuners."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puretune.lazily import lazy

if TYPE_CHECKING:
    from puretune.tuning._checks import check_number_format, check_start
    from puretune.tuning._manifest import inputs_digest, token_counts
    from puretune.tuning._registry import BUILTIN_TUNERS, DEFAULT_TUNER, TUNERS, tuner_named
    from puretune.tuning._rows import Row, render_rows
    from puretune.tuning._schedule import kept_steps, learning_rate, plan_steps, rows_of_step, steps_per_epoch
    from puretune.tuning._spec import LocalTuner, TunerSpec
    from puretune.tuning._types import Recipe, Schedule, TrainingRow, Tuner, TuningTask
    from puretune.tuning.gang import GangOptions, GangTuner
    from puretune.tuning.loop import LoopTuner
    from puretune.tuning.losses import LOSSES, Loss, OwnLoss, loss_named

__all__ = [
    "BUILTIN_TUNERS",
    "DEFAULT_TUNER",
    "LOSSES",
    "TUNERS",
    "GangOptions",
    "GangTuner",
    "LocalTuner",
    "LoopTuner",
    "Loss",
    "OwnLoss",
    "Recipe",
    "Row",
    "Schedule",
    "TrainingRow",
    "Tuner",
    "TunerSpec",
    "TuningTask",
    "check_number_format",
    "check_start",
    "inputs_digest",
    "kept_steps",
    "learning_rate",
    "loss_named",
    "plan_steps",
    "render_rows",
    "rows_of_step",
    "steps_per_epoch",
    "token_counts",
    "tuner_named",
]

__getattr__ = lazy(__name__)
