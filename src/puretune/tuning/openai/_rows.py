"""A task's rows as the API's training file: one conversation a line.

{"messages": [{"role": "user", "content": "2 plus 2?"}, {"role": "assistant", "content": "4"}]}
"""

from __future__ import annotations

import math

from puretune.errors import InputError
from puretune.models import MessagesRenderer
from puretune.store import json_lines
from puretune.templates import api_turns
from puretune.tuning._rows import Row
from puretune.tuning._schedule import kept_steps, plan_steps, steps_per_epoch
from puretune.tuning._types import TuningTask

CHECKPOINTS = 3
"""The API keeps checkpoints of this many last epochs."""


def training_file(task: TuningTask) -> bytes:
    """The rows as JSON lines. Assistant turns that are not trained get weight 0."""
    lines = []
    for row in task.rows:
        turns = api_turns(row.template, row.example.messages)
        weights = [{"weight": 0} if turn.role == "assistant" and not turn.train else {} for turn in turns]
        lines.append(
            {
                "messages": [
                    {"role": turn.role, "content": turn.content, **weight}
                    for turn, weight in zip(turns, weights, strict=True)
                ]
            }
        )
    return json_lines(lines).encode()


def counted_rows(task: TuningTask) -> tuple[Row, ...]:
    """The rows with as many tokens as are estimated. InputError for none, and for what an API cannot take."""
    if not task.rows:
        raise InputError(f"condition {task.name!r} has no rows to train on.")
    rows = []
    for row in task.rows:
        try:
            rendering = MessagesRenderer().example(row.template, row.example.messages)
        except InputError as error:
            raise InputError(f"condition {task.name!r}, row {row.example.id!r}: {error}") from error
        rows.append(Row(rendering.ids, rendering.loss_mask, shared=0))
    return tuple(rows)


def epochs(task: TuningTask) -> int:
    """The recipe's epochs. InputError if they are not whole, or steps are asked for."""
    recipe = task.recipe
    if recipe.steps is not None:
        raise InputError(
            f"condition {task.name!r}: the API trains whole epochs. Set recipe.epochs in place of steps."
        )
    if not float(recipe.epochs).is_integer():
        raise InputError(
            f"condition {task.name!r}: the API trains whole epochs; recipe.epochs is {recipe.epochs:g}."
        )
    return int(recipe.epochs)


def kept_epochs(task: TuningTask) -> dict[int, int]:
    """The steps to keep, each with the epoch that it ends. InputError for a step that ends no epoch of the
    last three, of which the API keeps checkpoints."""
    recipe, rows = task.recipe, len(task.rows)
    per_epoch, last = steps_per_epoch(recipe, rows), epochs(task)
    kept = {step: step / per_epoch for step in kept_steps(recipe, rows)}
    wrong = [step for step, epoch in kept.items() if not epoch.is_integer() or epoch <= last - CHECKPOINTS]
    if wrong:
        possible = [per_epoch * epoch for epoch in range(max(1, last - CHECKPOINTS + 1), last + 1)]
        raise InputError(
            f"condition {task.name!r}: recipe.keep asks for step {wrong[0]}, but the API keeps only the "
            f"ends of the last {CHECKPOINTS} epochs: steps {', '.join(map(str, possible))}."
        )
    assert plan_steps(recipe, rows) == last * per_epoch
    return {step: math.floor(epoch) for step, epoch in kept.items()}
