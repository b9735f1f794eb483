"""What puretune's own tuners share: tasks checked and made ready, adapters published, tokens counted."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from puretune.errors import CheckFailed, EnvironmentFault, InputError
from puretune.events import EventSink, Warned, ignore
from puretune.models import (
    BaseModel,
    Lora,
    RemoteBase,
    TunedModel,
    adapter_ref,
    check_adapter,
    load_lora,
    new_lora,
    read_manifest,
    save_lora,
    target_modules,
    write_manifest,
)
from puretune.store import make_directory, publish_directory, set_aside, temporary_name
from puretune.tuning._checks import lora_start, require_finite
from puretune.tuning._manifest import inputs_digest, manifest
from puretune.tuning._rows import Row, render_rows
from puretune.tuning._schedule import kept_steps, stream
from puretune.tuning._types import TuningTask
from puretune.visible import one_line


@dataclass(frozen=True)
class Job:
    """A checked task."""

    task: TuningTask
    inputs: str
    tuner: str
    rows: tuple[Row, ...]
    """Empty where all adapters are there already."""
    kept: dict[int, TunedModel]
    """Adapters that are there already, by step."""
    keep: tuple[int, ...]
    lora: Lora | None
    """The adapter before the first step; None if nothing is to be trained."""

    @property
    def missing(self) -> list[int]:
        return [step for step in self.keep if step not in self.kept]

    @property
    def resume(self) -> Path:
        return self.task.out / "resume"

    def refreshed(self) -> Job:
        """The same job, with what has been kept since."""
        kept = {step: self.task.out / f"step-{step}" for step in self.keep}
        return replace(self, kept={step: adapter_ref(path) for step, path in kept.items() if path.is_dir()})


def initial_lora(task: TuningTask, base: BaseModel) -> Lora:
    """The adapter before the first step: fresh, drawn from the task's seed, or the one to start from."""
    import torch

    recipe = task.recipe
    if task.start is None:
        generator = torch.Generator().manual_seed(stream(task.seed, "init"))
        return new_lora(base.model, recipe.rank, recipe.alpha, recipe.targets, generator)
    start = lora_start(task.start, recipe)
    check_adapter(start, base.spec)
    lora = load_lora(start.path, base.model)
    if set(lora.pairs) != set(target_modules(base.model, recipe.targets)):
        raise InputError(
            f"condition {task.name!r} starts from {start.path}, which has the targets "
            f"{', '.join(lora.targets)}. Set the same in recipe.targets."
        )
    return lora


def prepare(
    task: TuningTask,
    base: BaseModel,
    tuner: str,
    on_event: EventSink = ignore,
    start: Callable[[TuningTask, BaseModel], Lora | None] = initial_lora,
    inputs: str | None = None,
) -> Job:
    """Checks a task and finds what an earlier run kept; InputError for what cannot be trained.

    ``on_event`` is told what was damaged of it. ``start`` makes the adapter before the first step; ``inputs``
    is their digest, where it is known already.
    """
    inputs = inputs or inputs_digest(task, base, tuner)
    keep = kept_steps(task.recipe, len(task.rows)) if task.rows else ()
    places = {step: task.out / f"step-{step}" for step in keep}
    kept = {step: ref for step in keep if (ref := existing(places[step], inputs, on_event))}
    if keep and set(keep) == set(kept):
        return Job(task, inputs, tuner, (), kept, keep, None)
    return readied(Job(task, inputs, tuner, (), kept, keep, None), base, start)


def readied(
    job: Job, base: BaseModel, start: Callable[[TuningTask, BaseModel], Lora | None] = initial_lora
) -> Job:
    """The job with its rows and the adapter before the first step."""
    rows = render_rows(job.task, base.renderer, base.context_length)
    lora = start(job.task, base)
    make_directory(job.task.out)
    return replace(job, rows=rows, lora=lora)


def existing(directory: Path, inputs: str, on_event: EventSink = ignore) -> TunedModel | None:
    """The adapter that an earlier run kept there, None if there is none; a damaged one is set aside.

    InputError if it is another training's.
    """
    if not directory.exists():
        return None
    try:
        found = read_manifest(directory)
    except (CheckFailed, OSError) as error:
        set_aside(directory, one_line(error), lambda text: on_event(Warned(text)))
        return None
    if found is None or found.inputs != inputs:
        raise InputError(
            f"{directory} holds an adapter made from other rows, recipe, seed or base. "
            "Choose another output directory, or remove it."
        )
    return adapter_ref(directory)


def publish(job: Job, base: BaseModel, lora: Lora, step: int, loss: float) -> TunedModel:
    """Writes the adapter as it is after ``step`` optimiser steps, whole or not at all.

    CheckFailed if it is not finite.
    """
    require_finite(job.task, lora.parameters, step)

    def write(directory: Path) -> None:
        save_lora(directory, lora, base.model, base.spec.model, base.spec.revision)

    return publish_files(job, base, step, loss, write)


def publish_files(
    job: Job, base: BaseModel | RemoteBase, step: int, loss: float | None, write: Callable[[Path], None]
) -> TunedModel:
    """Publishes what ``write`` puts into a directory, with a manifest, whole or not at all."""
    final = job.task.out / f"step-{step}"
    temporary = make_directory(temporary_name(final))
    try:
        write(temporary)
        write_manifest(temporary, manifest(job.task, base, job.rows, job.tuner, step, loss))
        publish_directory(temporary, final)
    except OSError as error:
        raise EnvironmentFault(f"cannot write the adapter {final}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return adapter_ref(final)


class Meter:
    """Tokens and seconds since training began (or resumed)."""

    def __init__(self) -> None:
        self.tokens = 0
        self.start = time.monotonic()

    def count(self, tokens: int) -> None:
        self.tokens += tokens

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.start

    @property
    def rate(self) -> float:
        return self.tokens / max(self.seconds, 1e-9)
