"""The gang tuner: tasks of the same shape go through training together, step by step.

What training means is the reference tuner's affair (``loop.py``): rows of a step, loss, optimiser, schedule
and random streams are the same, per adapter. Here they are only computed together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from puretune.events import Advanced, EventSink, Finished, Started, ignore
from puretune.models import BaseModel, TunedModel
from puretune.store import remove_sound, sweep
from puretune.tuning._checks import check_number_format, require_finite, require_finite_loss
from puretune.tuning._disk_space import warn_of_space
from puretune.tuning._dropout import DropoutStreams
from puretune.tuning._jobs import Job, Meter, prepare, publish, readied
from puretune.tuning._memory import require_room
from puretune.tuning._resume_points import Pace
from puretune.tuning._schedule import learning_rate, plan_steps, rows_of_step, steps_per_epoch
from puretune.tuning._types import TuningTask
from puretune.tuning.gang._options import GangOptions
from puretune.tuning.gang._packing import Part
from puretune.tuning.gang._passes import Limits, Passes, limits_for
from puretune.tuning.gang._stack import Stack
from puretune.tuning.gang._state import load_state, save_state, unfinished_gangs

_Kept = tuple[TuningTask, int, TunedModel]


class GangTuner:
    """Trains LoRA adapters on one frozen base, together. Implements ``Tuner``."""

    name = GangOptions.name
    version = GangOptions.version

    def __init__(self, base: BaseModel, options: GangOptions | None = None, /) -> None:
        self.base = base
        self.options = options or GangOptions()

    def tune(self, tasks: Sequence[TuningTask], on_event: EventSink = ignore) -> Iterator[_Kept]:
        """Yields (task, optimiser step, adapter), all of one task together, gang by gang.

        Each adapter is the one that ``LoopTuner`` makes, up to rounding. All tasks are checked before
        the first step. What is there already is not made again, and an interrupted training resumes to
        bit-identical adapters. InputError for rows or recipes that cannot be trained, CheckFailed if a
        loss or a weight is not finite, EnvironmentFault if memory does not suffice for one row.
        """
        check_number_format(self.name, self.base.dtype_name, self.base.device_type)
        require_room(self.base, tasks)
        maker = f"{self.name} {self.version}"
        jobs = [prepare(task, self.base, maker, on_event) for task in tasks]
        warn_of_space(jobs, on_event)
        for members in gangs(jobs, self.base, on_event):
            if any(job.missing for job in members):
                yield from _Gang(members, self.base, self.options).run(on_event)
            else:
                yield from (one for job in members for one in _kept(job))


def gangs(jobs: Sequence[Job], base: BaseModel, on_event: EventSink = ignore) -> list[list[Job]]:
    """The jobs by gangs, in the order of their first members.

    A gang that was interrupted is formed again as it was; other jobs go together where the shape of the
    adapter and the steps are the same. Finished adapters are left alone.
    """
    found: list[list[Job]] = []
    taken: set[str] = set()
    for members in unfinished_gangs(jobs, on_event):
        if not taken & {job.inputs for job in members}:
            taken |= {job.inputs for job in members}
            found.append([job if job.missing else readied(job, base) for job in members])
    by_shape: dict[Any, list[Job]] = {}
    for job in jobs:
        if job.inputs not in taken:
            by_shape.setdefault(_shape(job), []).append(job)
    order = {job.inputs: place for place, job in reversed(list(enumerate(jobs)))}
    return sorted([*found, *by_shape.values()], key=lambda members: order[members[0].inputs])


def _shape(job: Job) -> Any:
    if job.lora is None:
        return job.inputs
    recipe = job.task.recipe
    return (
        tuple((name, a.shape, b.shape) for name, (a, b) in job.lora.pairs.items()),
        (job.lora.alpha, job.lora.scaling),
        job.lora.targets,
        (recipe.batch_size, recipe.accumulation, plan_steps(recipe, len(job.rows))),
    )


def _kept(job: Job) -> Iterator[_Kept]:
    return ((job.task, step, ref) for step, ref in sorted(job.kept.items()))


class _Gang:
    """Jobs that train together."""

    def __init__(self, jobs: Sequence[Job], base: BaseModel, options: GangOptions) -> None:
        self.jobs, self.base = jobs, base
        self.recipes = [job.task.recipe for job in jobs]
        loras = [job.lora for job in jobs if job.lora is not None]
        self.stack = Stack(loras, [recipe.ema for recipe in self.recipes])
        rows = [row for job in jobs for row in job.rows]
        limits = limits_for(base, rows, self.recipes[0].batch_size, options)
        self.passes = Passes(base, self.stack, options, limits)
        self.meter = Meter()

    def run(self, on_event: EventSink) -> Iterator[_Kept]:
        """Trains and publishes; all adapters are yielded when the last step is done."""
        for job in self.jobs:
            sweep(job.task.out)
        self._train(on_event)
        for job in self.jobs:
            remove_sound(job.resume)
        for job in self.jobs:
            yield from _kept(job)

    def _train(self, on_event: EventSink) -> None:
        limits = load_state(self.jobs, self.stack, on_event)
        if limits is not None:
            self.passes.limits = Limits(**limits)
        first, others = self.jobs[0].task.name, len(self.jobs) - 1
        work = f"tune {first}" + (f" and {others} more" if others else "")
        last = max(step for job in self.jobs for step in job.missing)
        pace = Pace(self.recipes)
        on_event(Started(work, last))
        self.passes.say = lambda note: on_event(Advanced(work, self.stack.done, note))
        losses: list[float] = []
        while self.stack.done < last:
            losses = self._step()
            due = self.stack.done < last and pace.due(self.stack.done)
            if due or any(self.stack.done in job.missing for job in self.jobs):
                self._require_finite()
            self._publish(losses)
            if due:
                save_state(self.jobs, self.stack, self.passes.limits.to_json())
                pace.saved()
            on_event(Advanced(work, self.stack.done, f"{_span(losses)}, {self.meter.rate:,.0f} tokens/s"))
        note = f"{self.meter.tokens:,} tokens in {self.meter.seconds:.1f} s"
        on_event(Finished(work, f"{_span(losses)}, {note}"))

    def _require_finite(self) -> None:
        """CheckFailed, with the task's name, where a weight or a moment is not finite."""
        for job, *numbers in zip(self.jobs, *self.stack.numbers, strict=True):
            require_finite(job.task, numbers, self.stack.done)

    def _publish(self, losses: Sequence[float]) -> None:
        for number, (job, loss) in enumerate(zip(self.jobs, losses, strict=True)):
            step = self.stack.done
            if step in job.missing:
                job.kept[step] = publish(job, self.base, self.stack.lora(number), step, loss)

    def _step(self) -> list[float]:
        """One optimiser step of everybody; returns each adapter's mean loss per trained token, in nats."""
        losses, gradients = self._gradients(self.stack.done)
        for job, loss in zip(self.jobs, losses, strict=True):
            require_finite_loss(job.task, loss, self.stack.done + 1)
        self.stack.step(gradients, [_rate(job, self.stack.done) for job in self.jobs], self.recipes)
        return losses

    def _gradients(self, step: int) -> tuple[list[float], Tensor]:
        """(losses, gradients) of an optimiser step, counted from 0, summed over its micro-batches."""
        losses, gradients = [0.0] * len(self.jobs), torch.zeros_like(self.stack.weights)
        wholes = [_part(job, step) for job in self.jobs]
        size = self.recipes[0].batch_size
        for start in range(0, size * self.recipes[0].accumulation, size):
            parts = [_micro(whole, start, size) for whole in wholes]
            if any(part.rows for part in parts):
                found, gradient = self.passes.gradients(parts)
                losses = [loss + more for loss, more in zip(losses, found, strict=True)]
                gradients += gradient
        self.meter.count(sum(len(row.ids) for whole in wholes for row in whole.rows))
        return losses, gradients


def _rate(job: Job, step: int) -> float:
    recipe, rows = job.task.recipe, len(job.rows)
    return learning_rate(recipe, step, plan_steps(recipe, rows), steps_per_epoch(recipe, rows))


def _part(job: Job, step: int) -> Part:
    """All rows of the job's optimiser step."""
    task = job.task
    rows = [job.rows[i] for i in rows_of_step(task.recipe, len(job.rows), task.seed, step)]
    streams = DropoutStreams(task.seed, step, task.recipe.dropout)
    return Part(tuple(rows), 0, streams, 1 / sum(row.trained for row in rows))


def _micro(whole: Part, start: int, size: int) -> Part:
    return Part(whole.rows[start : start + size], whole.first + start, whole.streams, whole.weight)


def _span(losses: Sequence[float]) -> str:
    low, high = f"{min(losses):.3f}", f"{max(losses):.3f}"
    return f"loss {low}" if low == high else f"loss {low} to {high}"
