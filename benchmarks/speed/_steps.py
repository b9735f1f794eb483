"""A condition as plain token rows, for peers that know nothing of templates."""

from __future__ import annotations

from dataclasses import dataclass

from puretune.models import BaseModel
from puretune.tuning import Row, TuningTask, render_rows, rows_of_step, token_counts


@dataclass(frozen=True)
class Steps:
    """A condition as plain token rows in the order of training: what a peer is given."""

    task: TuningTask
    rows: tuple[Row, ...]
    """``batch_size * accumulation`` rows per optimiser step, step after step."""
    tokens: dict[str, int]
    """``seen``, ``distinct`` (without the prefix that all rows share), ``trained``."""


def steps_of(task: TuningTask, base: BaseModel) -> Steps:
    """The rows of a condition, rendered, in the order in which our tuners take them."""
    rows, recipe = render_rows(task, base.renderer, base.context_length), task.recipe
    total, size = recipe.steps or 1, recipe.batch_size * recipe.accumulation
    taken = [rows_of_step(recipe, len(rows), task.seed, step) for step in range(total)]
    if any(len(step) != size for step in taken):
        raise ValueError("a step at the end of an epoch is smaller than the others: use fewer steps")
    ordered = tuple(rows[place] for step in taken for place in step)
    return Steps(task, ordered, dict(token_counts(task, rows, total)))
