"""The tuner ``trainer``: what the reference loop computes, through the libraries that large models need."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from puretune.events import EventSink, ignore
from puretune.models import BaseModel, TunedModel, adapter_ref
from puretune.store import remove_sound
from puretune.tuning._checks import check_losses, check_number_format
from puretune.tuning._jobs import Job, initial_lora, prepare
from puretune.tuning._types import TuningTask
from puretune.tuning.trainer._launch import train_on_several
from puretune.tuning.trainer._options import TrainerOptions, check_machine
from puretune.tuning.trainer._run import train_here, until_it_fits


class TrainerTuner:
    """TRL's SFTTrainer on exact ids and masks, task by task. Implements ``Tuner``.

    Rows, their order, the loss, the schedule, AdamW and the initial adapter are those of the reference loop,
    and in float32 without dropout so are the adapters, up to rounding. Dropout is PEFT's: drawn from the
    process's own generator, so with dropout the two are equal in distribution only.
    """

    name = TrainerOptions.name
    version = TrainerOptions.version

    def __init__(self, base: BaseModel, options: TrainerOptions | None = None, /) -> None:
        self.base = base
        self.options = options or TrainerOptions()

    def tune(
        self, tasks: Sequence[TuningTask], on_event: EventSink = ignore
    ) -> Iterator[tuple[TuningTask, int, TunedModel]]:
        """Yields (task, optimiser step, adapter) when a task is done, tasks in their order.

        All tasks are checked before the first step. What is there already is not made again, and an
        interrupted training resumes from its last resume point. InputError for rows, recipes or options that
        cannot be trained, EnvironmentFault for a missing library, a full disk or too little memory,
        CheckFailed if the loss or a weight is not finite.
        """
        check_machine(self.options)
        for task in tasks:
            check_losses(self.options, task)
        several = self.options.launch is not None
        check_number_format(self.name, self.base.dtype_name, self.base.device_type, several)
        described = json.dumps(self.options.inputs(), sort_keys=True)
        start = _no_lora if self.options.whole else initial_lora
        tuner = f"{self.name} {self.version} {described}"
        jobs = [prepare(task, self.base, tuner, on_event, start) for task in tasks]
        for job in jobs:
            if job.missing:
                self._train(job, on_event)
            for step in job.keep:
                yield job.task, step, adapter_ref(job.task.out / f"step-{step}")

    def _train(self, job: Job, on_event: EventSink) -> None:
        attempt = train_here if self.options.launch is None else train_on_several
        rows_at_once = 1 if self.options.packing else job.task.recipe.batch_size

        def one(job: Job, rows: int, tell: EventSink) -> None:
            attempt(job, self.base, self.options, rows, tell)

        until_it_fits(job, one, rows_at_once, on_event)
        remove_sound(job.resume)


def _no_lora(task: TuningTask, base: BaseModel) -> None:
    """Where all weights are tuned there is no adapter to begin with."""
