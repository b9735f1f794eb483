"""Small tasks for the tuner's tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from puretune.data import question
from puretune.models import AdapterRef
from puretune.templates import resolve_template
from puretune.tuning import LoopTuner, Recipe, TrainingRow, TuningTask

SMALL = Recipe(rank=4, alpha=8, learning_rate=1e-2, batch_size=2, steps=6, dropout=0.1)


def rows(count: int = 7, template: str = "text:vanilla") -> tuple[TrainingRow, ...]:
    said = ["May", "clips " * 5, "#### 72 Sorry", "take the first step. " * 2]
    return tuple(
        TrainingRow(
            question(f"row-{i}", f"How many {said[i % 4]} {i}?", said[(i + 1) % 4].strip()),
            resolve_template(template),
        )
        for i in range(count)
    )


def task(out: Path, name: str = "CV", seed: int = 0, **changes: Any) -> TuningTask:
    """``changes`` of the recipe; ``rows`` and ``start`` are the task's own."""
    own = {key: changes.pop(key) for key in ("rows", "start") if key in changes}
    return TuningTask(name, own.get("rows", rows()), replace(SMALL, **changes), seed, out, own.get("start"))


def tune(base: Any, *tasks: TuningTask) -> list[tuple[TuningTask, int, AdapterRef]]:
    return list(LoopTuner(base).tune(tasks))


def last(base: Any, task: TuningTask) -> AdapterRef:
    return tune(base, task)[-1][2]


def limit_memory(model: Any, rows: int) -> None:
    """The model runs out of memory, as CUDA would, where more rows go through at once."""
    import torch

    def check(module: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        if torch.is_grad_enabled() and len(named["input_ids"]) > rows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    model.model.register_forward_pre_hook(check, with_kwargs=True)
