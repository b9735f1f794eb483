"""How many steps, which rows in which step, at what learning rate: pure functions of recipe, seed and step.

Nothing here depends on what happened before, so a resumed run needs no random state.
"""

from __future__ import annotations

import hashlib
import math
import random
from functools import lru_cache

from puretune.errors import InputError
from puretune.tuning._types import Recipe


def steps_per_epoch(recipe: Recipe, rows: int) -> int:
    """Optimiser steps in one pass over the rows; the last one takes what is left."""
    return math.ceil(rows / (recipe.batch_size * recipe.accumulation))


def plan_steps(recipe: Recipe, rows: int) -> int:
    """Optimiser steps of the whole training; a fraction of an epoch is rounded up to whole steps."""
    if recipe.steps is not None:
        return recipe.steps
    return max(1, math.ceil(recipe.epochs * steps_per_epoch(recipe, rows) - 1e-9))


def kept_steps(recipe: Recipe, rows: int) -> tuple[int, ...]:
    """The steps after which an adapter is kept, in order: those asked for and the last one."""
    last = plan_steps(recipe, rows)
    beyond = [step for step in recipe.keep if not 1 <= step <= last]
    if beyond:
        raise InputError(
            f"recipe.keep asks for step {beyond[0]}, but training has steps 1 to {last} "
            f"({rows} rows, {recipe.batch_size} x {recipe.accumulation} a step)."
        )
    regular = range(recipe.keep_every, last, recipe.keep_every) if recipe.keep_every else ()
    return tuple(sorted({*recipe.keep, *regular, last}))


def learning_rate(recipe: Recipe, step: int, total: int, per_epoch: int) -> float:
    """The rate of the ``step``-th optimiser step, counted from 0, of ``total``.

    Warm-up rises linearly to the full rate; then constant, linear to zero, half a cosine to zero, or
    (``step``) times ``decay`` for each epoch of ``per_epoch`` steps that is over.
    """
    warm = math.ceil(recipe.warmup * total)
    if step < warm:
        return recipe.learning_rate * (step + 1) / warm
    done = (step - warm) / max(1, total - warm)
    factor = {
        "constant": 1.0,
        "linear": 1.0 - done,
        "cosine": 0.5 * (1.0 + math.cos(math.pi * done)),
        "step": recipe.decay ** (step // per_epoch),
    }[recipe.schedule]
    return recipe.learning_rate * factor


def rows_of_step(recipe: Recipe, rows: int, seed: int, step: int) -> tuple[int, ...]:
    """The rows of the ``step``-th optimiser step, counted from 0. No step spans two epochs."""
    epoch, place = divmod(step, steps_per_epoch(recipe, rows))
    size = recipe.batch_size * recipe.accumulation
    return _order(rows, seed, epoch)[place * size : (place + 1) * size]


def stream(seed: int, purpose: str, number: int = 0) -> int:
    """The seed of one of a task's random streams: initialisation, an epoch's order, a step's dropout."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{number}".encode()).digest()
    return int.from_bytes(digest[:7], "big")


@lru_cache(maxsize=8)
def _order(rows: int, seed: int, epoch: int) -> tuple[int, ...]:
    order = list(range(rows))
    random.Random(stream(seed, "order", epoch)).shuffle(order)
    return tuple(order)
