"""What happens besides the trainer's steps: adapters kept, progress told, resume points marked."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from puretune.events import Advanced, EventSink, Warned
from puretune.store import write_bytes
from puretune.tuning._checks import require_finite, require_finite_loss
from puretune.tuning._jobs import Job, Meter
from puretune.tuning._resume_points import Pace
from puretune.tuning._schedule import rows_of_step
from puretune.tuning.trainer._resume import mark_whole
from puretune.tuning.trainer._sft import checkpoint_directory

_AVERAGE = "average.safetensors"
"""In a resume point: the moving average of the weights, where one is kept."""

Keep = Callable[[dict[str, Any], int, float], None]
"""Given the trained weights by name, the step and its loss, writes what is kept of them."""


class Watch:
    """The observer of one training. Only the main process writes and speaks; all take part in gathering."""

    def __init__(self, job: Job, keep: Keep, on_event: EventSink) -> None:
        self.trainer: Any = None
        self.loss = math.nan
        self.step = 0
        """Optimiser steps done."""
        self.meter = Meter()
        self._job = job
        self._keep = keep
        self._on_event = on_event
        self._parts: list[Tensor] = []
        self._pace = Pace([job.task.recipe])
        self._average: dict[str, Tensor] = {}

    def began(self, step: int) -> None:
        if self._job.task.recipe.ema is None:
            return
        weights = _gathered(self.trainer)
        if step:
            weights = load_file(checkpoint_directory(Path(self.trainer.args.output_dir), step) / _AVERAGE)
        self._average = {name: one.float().cpu() for name, one in weights.items()}

    def lost(self, loss: Tensor) -> None:
        self._parts.append(loss.detach())

    def stepped(self, step: int) -> bool:
        self.step = step
        accelerator = self.trainer.accelerator
        # each process has its own tokens' loss, scaled by the number of processes
        self.loss = float(accelerator.reduce(sum(self._parts), reduction="mean"))
        self._parts = []
        require_finite_loss(self._job.task, self.loss, step)
        largest = accelerator.reduce(_largest(self.trainer), reduction="sum")
        require_finite(self._job.task, [largest], step)
        self._tell_if_skipped(step)
        weights = self._weights(step)
        if step in self._job.missing:
            if accelerator.is_main_process:
                self._keep(weights, step, self.loss)
            accelerator.wait_for_everyone()
        self._tell(step)
        # every process must save or none, so that they ask one clock
        late = accelerator.reduce(_flag(accelerator, self._pace.late), reduction="sum")
        return bool(late.item())

    def saved(self, step: int) -> None:
        self._pace.saved()
        self.trainer.accelerator.wait_for_everyone()  # each process writes its own part
        if self.trainer.accelerator.is_main_process:
            place = checkpoint_directory(Path(self.trainer.args.output_dir), step)
            if self._average:
                write_bytes(place / _AVERAGE, save(self._average))
            mark_whole(place, self._job.inputs)

    def _weights(self, step: int) -> dict[str, Tensor]:
        """What is kept after a step, if it is kept: the weights, or their moving average."""
        ema = self._job.task.recipe.ema
        if ema is None:
            return _gathered(self.trainer) if step in self._job.missing else {}
        for name, one in _gathered(self.trainer).items():
            self._average[name].lerp_(one.float().cpu(), 1 - ema)
        return self._average

    def _tell_if_skipped(self, step: int) -> None:
        """In float16 a step whose scaled gradients overflow changes nothing."""
        accelerator = self.trainer.accelerator
        if accelerator.optimizer_step_was_skipped and accelerator.is_main_process:
            name = self._job.task.name
            self._on_event(Warned(f"condition {name!r}: step {step} changed nothing (float16 overflowed)."))

    def _tell(self, step: int) -> None:
        task, rows = self._job.task, self._job.rows
        chosen = rows_of_step(task.recipe, len(rows), task.seed, step - 1)
        self.meter.count(sum(len(rows[place].ids) for place in chosen))
        if self.trainer.accelerator.is_main_process:
            note = f"loss {self.loss:.3f}, {self.meter.rate:,.0f} tokens/s"
            self._on_event(Advanced(f"tune {task.name}", step, note))


def _flag(accelerator: Any, late: bool) -> Tensor:
    return torch.tensor(float(late and accelerator.is_main_process), device=accelerator.device)


def _largest(trainer: Any) -> Tensor:
    """[1] The largest number of the trained weights in this process, without its sign; NaN or infinite
    where one of them is."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    held = [p.to_local() if hasattr(p, "to_local") else p for p in model.parameters() if p.requires_grad]
    held = [one.detach() for one in held if one.numel()]
    largest = torch._foreach_norm(held, math.inf) if held else [torch.zeros((), device=model.device)]
    return torch.stack([one.float() for one in largest]).max().reshape(1)


def _gathered(trainer: Any) -> dict[str, Any]:
    """The trained weights by name, whole on the main process, however they are sharded."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    if trainer.is_deepspeed_enabled:
        state = trainer.accelerator.get_state_dict(trainer.model_wrapped) or {}
        return {name: value for name, value in state.items() if name in trained}
    return {
        name: (value.full_tensor() if hasattr(value, "full_tensor") else value).detach().clone()
        for name, value in trained.items()
    }
