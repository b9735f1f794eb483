"""How it learns: recipes, conditions, tuners."""

from puretune.tuning._about import inputs_digest, token_counts
from puretune.tuning._rows import Row, render_rows
from puretune.tuning._schedule import kept_steps, learning_rate, plan_steps, rows_of_step, steps_per_epoch
from puretune.tuning._types import Condition, Recipe, Schedule, TrainingRow, Tuner
from puretune.tuning.loop import LoopTuner

__all__ = [
    "Condition",
    "LoopTuner",
    "Recipe",
    "Row",
    "Schedule",
    "TrainingRow",
    "Tuner",
    "inputs_digest",
    "kept_steps",
    "learning_rate",
    "plan_steps",
    "render_rows",
    "rows_of_step",
    "steps_per_epoch",
    "token_counts",
]
