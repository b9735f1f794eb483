"""Whether a training can be right: its number format, where it starts, and numbers that stay finite."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from puretune.errors import CheckFailed, InputError
from puretune.models import AdapterRef, CheckpointRef, TunedModel, read_adapter, shown
from puretune.tuning._types import Recipe, TuningTask

if TYPE_CHECKING:
    from torch import Tensor

    from puretune.tuning._spec import TunerSpec

_TUNERS = ("gang", "loop", "trainer")


def check_number_format(tuner: str, dtype: str, device: str, processes: bool = False) -> None:
    """InputError for float16, in which small gradients become zero, unless the tuner scales its loss: the
    trainer does on one CUDA device (``processes``: it is not on one alone)."""
    scales = tuner == "trainer" and device.startswith("cuda") and not processes
    if tuner in _TUNERS and dtype == "float16" and not scales:
        raise InputError(
            f"tuner {tuner!r} does not scale its loss here, so in float16 small gradients would become zero. "
            "Tune with the model's `dtype: bfloat16` or `float32`; on one GPU `tuner: trainer` takes float16."
        )


def check_losses(tuner: TunerSpec, task: TuningTask) -> None:
    """InputError if a tuner cannot minimise the losses of a task."""
    losses = dict.fromkeys(row.loss or task.recipe.loss for row in task.rows)
    if why := tuner.unable(task.recipe, losses):
        raise InputError(f"condition {task.name!r}: {why}")


def check_start(start: TunedModel, recipe: Recipe, all_weights: bool = False) -> None:
    """InputError if training cannot start from an adapter as it is: from plain LoRA of the recipe's rank
    and alpha. A training of ``all_weights`` starts from a checkpoint."""
    if not all_weights:
        lora_start(start, recipe)
    elif not isinstance(start, CheckpointRef):
        raise InputError(
            f"all weights are tuned, and it starts from {shown(start)}. Merge it into a checkpoint, or use "
            "method lora."
        )


def lora_start(start: TunedModel, recipe: Recipe) -> AdapterRef:
    """The adapter of the recipe's rank and alpha that training starts from; InputError if it is not one."""
    if not isinstance(start, AdapterRef):
        raise InputError(
            f"tuning cannot start from {shown(start)}. Name it as the study's model, and train without "
            "`start`."
        )
    files = read_adapter(start.path)
    if files.more:
        raise InputError(
            f"{start.path}: not a plain LoRA adapter ({files.more}); training cannot continue from it. "
            "Merge it into a checkpoint, and name that as the study's model."
        )
    rank, alpha = files.config["r"], float(files.config["lora_alpha"])
    if (rank, alpha) != (recipe.rank, recipe.alpha):
        raise InputError(
            f"{start.path} has rank {rank} and alpha {alpha:g}, and the recipe rank {recipe.rank} and alpha "
            f"{recipe.alpha:g}. Set the same in the recipe."
        )
    return start


def require_finite_loss(task: TuningTask, loss: float, step: int) -> None:
    """CheckFailed if the loss of a step (counted from 1) is NaN or infinite."""
    if not math.isfinite(loss):
        raise CheckFailed(_said(task, f"the loss is {loss} at step {step}"))


def require_finite(task: TuningTask, tensors: Iterable[Tensor], step: int) -> None:
    """CheckFailed if a weight, or what the optimiser remembers of it, is not finite after a step."""
    if not all(bool(one.isfinite().all()) for one in tensors):
        raise CheckFailed(_said(task, f"the weights are not finite (NaN or infinite) after step {step}"))


def _said(task: TuningTask, what: str) -> str:
    return (
        f"condition {task.name!r}: {what}, and nothing of that step is kept. Lower recipe.learning_rate "
        f"(now {task.recipe.learning_rate:g}), or use the model's `dtype: float32`."
    )
