"""Out of memory: fewer rows at a time, more often, so that a step stays what the recipe says; and what cannot
fit is refused before anything is allocated."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import torch

from puretune import memory
from puretune.errors import EnvironmentFault
from puretune.events import Advanced, EventSink
from puretune.models import BaseModel, target_modules
from puretune.tuning._types import TuningTask

_Result = TypeVar("_Result")


_STATE = 16
"""Bytes per number of an adapter while it is trained: itself, its gradient and AdamW's two moments."""


def require_room(base: BaseModel, tasks: Sequence[TuningTask]) -> None:
    """EnvironmentFault if the adapters of these tasks, with what their training keeps of them, need
    more memory than this process may take. On a GPU the device itself says so."""
    if base.device_type != "cpu":
        return
    numbers = sum(_numbers(base, task) for task in tasks)
    rank = max((task.recipe.rank for task in tasks), default=0)
    memory.require(
        numbers * _STATE,
        f"training {len(tasks)} adapters of rank up to {rank:,} ({numbers:,} weights in all)",
        "Lower recipe.rank, name fewer recipe.targets, or train fewer conditions and seeds at once.",
    )


def _numbers(base: BaseModel, task: TuningTask) -> int:
    recipe = task.recipe
    layers: Iterable[Any] = target_modules(base.model, recipe.targets).values()
    return recipe.rank * sum(sum(layer.weight.shape) for layer in layers)


def in_pieces(attempt: Callable[[int], _Result], rows: int, say: Callable[[str], None]) -> _Result:
    """``attempt(rows)``, and with half as many where memory runs out; ``say`` is told.

    EnvironmentFault if one row at a time is too much.
    """
    while True:
        try:
            return attempt(rows)
        except Exception as error:
            if not memory.is_shortage(error):
                raise
            # what follows is outside this handler, whose traceback holds tensors
        free()
        rows = fewer(rows)
        say(f"out of memory: continuing with {rows} {'rows' if rows > 1 else 'row'} at a time")


def fewer(rows: int) -> int:
    """Half as many rows. EnvironmentFault if there is only one."""
    if rows == 1:
        raise EnvironmentFault(
            "out of memory with one row at a time. Lower recipe.max_length, or use the tuner "
            "`trainer` with gradient_checkpointing or method qlora."
        )
    return (rows + 1) // 2


def free() -> None:
    """Give memory back to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def telling(on_event: EventSink, work: str, done: int) -> Callable[[str], None]:
    """Says something about a piece of work that has come so far."""
    return lambda note: on_event(Advanced(work, done, note))
