"""One task through the trainer on this process; and again in smaller pieces, where memory runs out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy
import torch

from puretune.events import Advanced, Event, EventSink, Finished, Started
from puretune.models import BaseModel, quiet, save_lora
from puretune.tuning._checks import require_finite
from puretune.tuning._jobs import Job, publish_files
from puretune.tuning._memory import in_pieces
from puretune.tuning.trainer._callbacks import Keep, Watch
from puretune.tuning.trainer._model import Where, aside, trained_lora, training_model
from puretune.tuning.trainer._options import TrainerOptions
from puretune.tuning.trainer._padding_free import require_rows_apart
from puretune.tuning.trainer._resume import disk_faults, newest
from puretune.tuning.trainer._sft import sft_trainer
from puretune.tuning.trainer._steps import plan_data

Attempt = Callable[[Job, int, EventSink], None]
"""Trains with the given rows per forward pass; raises ``torch.OutOfMemoryError`` if that is too much."""


def until_it_fits(job: Job, attempt: Attempt, rows_at_once: int, on_event: EventSink) -> None:
    """Trains up to the last missing step, ``rows_at_once`` per forward pass; fewer where memory runs out.

    EnvironmentFault if one row at a time is still too much.
    """
    work = f"tune {job.task.name}"
    watched = _Furthest(on_event)
    on_event(Started(work, max(job.missing)))

    def say(note: str) -> None:
        on_event(Advanced(work, watched.done, note))

    in_pieces(lambda rows: attempt(job.refreshed(), rows, watched.note), rows_at_once, say)
    on_event(Finished(work))


class _Furthest:
    """Passes events on and remembers how far the work has come."""

    def __init__(self, on_event: EventSink) -> None:
        self.done = 0
        self._on_event = on_event

    def note(self, event: Event) -> None:
        if isinstance(event, Advanced):
            self.done = event.done
        self._on_event(event)


def train_here(
    job: Job, base: BaseModel, options: TrainerOptions, rows_at_once: int, on_event: EventSink
) -> None:
    """One attempt in this process; the random state and the base are left as they were."""
    where = Where(cpu=base.device.type == "cpu")
    with _own_randomness(), aside(base):
        train(job, base, options, rows_at_once, where, keeper(job, base, options), on_event)


def train(
    job: Job,
    base: BaseModel,
    options: TrainerOptions,
    rows_at_once: int,
    where: Where,
    keep: Keep,
    on_event: EventSink,
) -> None:
    """One attempt on this process, perhaps one of several; ``torch.OutOfMemoryError`` if that fails."""
    watch = Watch(job, keep, on_event)
    try:
        with quiet(), _logs(options, job), disk_faults(job.resume):
            _train(job, base, options, rows_at_once, where, watch, on_event)
    finally:
        watch.trainer = None


def _train(
    job: Job,
    base: BaseModel,
    options: TrainerOptions,
    rows_at_once: int,
    where: Where,
    watch: Watch,
    on_event: EventSink,
) -> None:
    task = job.task
    longest = max(len(row.ids) for row in job.rows)
    capacity = max(longest, task.recipe.max_length or longest) if options.packing else 0
    data = plan_data(
        task.recipe, job.rows, task.seed, max(job.missing), rows_at_once, where.processes, capacity
    )
    model = training_model(job, base, options.method, where)
    watch.trainer = sft_trainer(job, base, model, data, options, watch, where.cpu)
    if options.padding_free or options.packing:
        require_rows_apart(model, watch.trainer.data_collator, job.rows[0], job.rows[-1])
    found = newest(job.resume, job.inputs, min(job.missing), on_event)
    watch.trainer.train(resume_from_checkpoint=str(found) if found else None)


def keeper(job: Job, base: BaseModel, options: TrainerOptions) -> Keep:
    """Writes the adapter or, where all weights are tuned, the checkpoint, with its manifest."""

    def keep(weights: dict[str, Any], step: int, loss: float) -> None:
        require_finite(job.task, weights.values(), step)

        def write(directory: Path) -> None:
            if job.lora is None:
                trained = {name: one.to("cpu", base.model.dtype) for name, one in weights.items()}
                require_finite(job.task, trained.values(), step)
                _save_checkpoint(directory, base, trained)
            else:
                lora = trained_lora(job.lora, weights)
                save_lora(directory, lora, base.model, base.spec.model, base.spec.revision)

        publish_files(job, base, step, loss, write)

    return keep


def _save_checkpoint(directory: Path, base: BaseModel, trained: dict[str, Any]) -> None:
    """All weights, in the base's own type; configuration and tokenizer are the base's."""
    # tied weights have several names in a state, and one among the parameters
    named = {value.data_ptr(): name for name, value in base.model.named_parameters()}
    state = base.model.state_dict()
    state = {name: trained.get(named.get(value.data_ptr(), name), value) for name, value in state.items()}
    base.model.save_pretrained(directory, state_dict=state)
    for path in base.path.iterdir():
        small = path.suffix in (".json", ".txt", ".model", ".jinja") and ".safetensors" not in path.name
        if path.is_file() and small:
            shutil.copyfile(path, directory / path.name)


@contextmanager
def _logs(options: TrainerOptions, job: Job) -> Iterator[None]:
    """Where TensorBoard's callback writes; it knows no other way to be told."""
    name = "TENSORBOARD_LOGGING_DIR"
    if "tensorboard" not in options.report_to or name in os.environ:
        yield
        return
    os.environ[name] = str(options.log_dir / job.task.name.replace("/", "-"))
    try:
        yield
    finally:
        del os.environ[name]


@contextmanager
def _own_randomness() -> Iterator[None]:
    """The trainer seeds every generator of the process; what they were comes back."""
    import random

    python, arrays = random.getstate(), numpy.random.get_state()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    try:
        with torch.random.fork_rng(devices=list(devices)):
            yield
    finally:
        random.setstate(python)
        numpy.random.set_state(arrays)
