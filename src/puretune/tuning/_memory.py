"""Out of memory: fewer rows at a time, more often, so that a step stays what the recipe says."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar

from puretune.errors import EnvironmentFault
from puretune.events import Advanced, EventSink

_Result = TypeVar("_Result")


def in_pieces(attempt: Callable[[int], _Result], rows: int, say: Callable[[str], None]) -> _Result:
    """``attempt(rows)``, and with half as many where memory runs out; ``say`` is told.

    EnvironmentFault where one row at a time is too much.
    """
    import torch

    while True:
        try:
            return attempt(rows)
        except torch.OutOfMemoryError:
            pass  # outside this handler, whose traceback holds tensors
        free()
        rows = fewer(rows)
        say(f"out of memory: going on with {rows} {'rows' if rows > 1 else 'row'} at a time")


def fewer(rows: int) -> int:
    """Half as many rows. EnvironmentFault where there is only one."""
    if rows == 1:
        raise EnvironmentFault(
            "out of memory with one row at a time. Lower recipe.max_length, or use the tuner "
            "`trainer` with gradient_checkpointing or method qlora."
        )
    return (rows + 1) // 2


def free() -> None:
    """Give memory back to the device."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def telling(on_event: EventSink, work: str, done: int) -> Callable[[str], None]:
    """Says something about a piece of work that has come so far."""
    return lambda note: on_event(Advanced(work, done, note))
