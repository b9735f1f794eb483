"""The tuner ``openai``: tasks become fine-tuning jobs; what comes back is a model's id."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from puretune.endpoints import Consent, loopback_only
from puretune.errors import EnvironmentFault, InputError
from puretune.events import EventSink, Finished, Started, ignore
from puretune.models import (
    REMOTE_MODEL,
    ModelSpec,
    RemoteBase,
    ServedModel,
    TunedModel,
    adapter_ref,
    shown,
)
from puretune.store import make_directory, write_text
from puretune.tuning._checks import check_losses
from puretune.tuning._jobs import Job, existing, publish_files
from puretune.tuning._manifest import inputs_digest
from puretune.tuning._schedule import plan_steps
from puretune.tuning._types import TuningTask
from puretune.tuning.openai._client import Calls
from puretune.tuning.openai._job import Desk, checkpoints, known_job
from puretune.tuning.openai._options import OpenAIOptions
from puretune.tuning.openai._price import TuningNotice, notice
from puretune.tuning.openai._rows import counted_rows, epochs, kept_epochs, training_file
from puretune.visible import one_line

if TYPE_CHECKING:
    from openai.types.fine_tuning import FineTuningJob

_SEEDS = 2**31


@dataclass(frozen=True)
class _Tuned:
    """What a kept step has become at the provider."""

    model: str
    loss: float | None


class OpenAITuner:
    """Fine-tuning jobs at an endpoint that speaks OpenAI's API. Implements ``Tuner``.

    Supervised fine-tuning (``method={"type": "supervised"}``), one job after the other. Rows go as messages:
    templates that need more than messages are refused. Loss, order and optimiser are the provider's.
    """

    name = OpenAIOptions.name
    version = OpenAIOptions.version

    def __init__(
        self, model: ModelSpec, options: OpenAIOptions | None = None, consent: Consent = loopback_only, /
    ) -> None:
        """``consent`` is shown what will go where, at what price, before the first upload."""
        self.base = RemoteBase(model)
        self.options = options or OpenAIOptions()
        self._consent = consent

    def tune(
        self, tasks: Sequence[TuningTask], on_event: EventSink = ignore
    ) -> Iterator[tuple[TuningTask, int, TunedModel]]:
        """Yields (task, optimiser step, reference to the provider's model) when a job is done.

        All tasks are checked before anything is sent. A job that an earlier run started is found again,
        by its id or at the provider. InputError for templates, recipes and prices that will not do or where
        nobody agrees, EnvironmentFault if the endpoint fails or a job does.
        """
        for task in tasks:
            check_losses(self.options, task)
        jobs = [self._prepared(task) for task in tasks]
        self._agreed([job for job in jobs if job.missing])
        for job in jobs:
            if job.missing:
                self._tune(job, on_event)
            for step in job.keep:
                yield job.task, step, adapter_ref(job.task.out / f"step-{step}")

    def notice(self, tasks: Sequence[TuningTask]) -> TuningNotice:
        """What tuning these would send where, and at what price. InputError if they cannot be tuned."""
        return self._notice([self._prepared(task) for task in tasks])

    def _prepared(self, task: TuningTask) -> Job:
        self._model(task)
        inputs = inputs_digest(task, self.base, self._label)
        keep = tuple(kept_epochs(task))
        kept = {step: ref for step in keep if (ref := existing(task.out / f"step-{step}", inputs))}
        return Job(task, inputs, self._label, counted_rows(task), kept, keep, None)

    def _agreed(self, jobs: Sequence[Job]) -> None:
        """Asks for consent to what has not been started yet."""
        new = [job for job in jobs if known_job(job.task.out, job.inputs).job is None]
        if new:
            self._consent(self._notice(new))

    def _notice(self, jobs: Sequence[Job]) -> TuningNotice:
        tokens = sum(sum(len(row.ids) for row in job.rows) * epochs(job.task) for job in jobs)
        rows = sum(len(job.rows) for job in jobs)
        endpoint, model = self.options.endpoint(), self.base.spec.model
        return notice(model, endpoint, self.options.price, len(jobs), rows, tokens)

    def _tune(self, job: Job, on_event: EventSink) -> None:
        task = job.task
        work = f"tune {task.name}"
        make_directory(task.out)
        calls = Calls(self.options.endpoint())
        desk = Desk(calls, task.out, job.inputs, self.options.poll_seconds)
        on_event(Started(work, plan_steps(task.recipe, len(job.rows))))
        file = desk.upload(training_file(task))
        started = desk.start(self._request(task, file))
        try:
            done = desk.wait(work, on_event)
        except KeyboardInterrupt:
            if self.options.on_interrupt == "cancel":
                desk.cancel()
            raise
        tuned = self._tuned(calls, job, done)
        for step in job.missing:
            self._keep(job, step, tuned[step], done)
        on_event(Finished(work, f"{one_line(started)}: {one_line(done.fine_tuned_model)}"))

    def _request(self, task: TuningTask, file: str) -> dict[str, Any]:
        chosen = {"n_epochs": epochs(task), **self.options.hyperparameters()}
        return {
            "model": self._model(task),
            "training_file": file,
            "method": {"type": "supervised", "supervised": {"hyperparameters": chosen}},
            "seed": task.seed % _SEEDS,
            "suffix": self.options.suffix,
        }

    def _model(self, task: TuningTask) -> str:
        start = task.start
        if start is None:
            return self.base.spec.model
        if not isinstance(start, ServedModel):
            raise InputError(
                f"condition {task.name!r} starts from {shown(start)}, which is not a provider's model."
            )
        return start.name

    def _tuned(self, calls: Calls, job: Job, done: FineTuningJob) -> dict[int, _Tuned]:
        """The models of the steps to keep; the last is the job's, earlier ones are its checkpoints."""
        listed = calls.ask(lambda sdk: checkpoints(sdk, done.id))
        last, tuned = epochs(job.task), dict[int, _Tuned]()
        for step, epoch in kept_epochs(job.task).items():
            place = len(listed) - 1 - (last - epoch)
            found = listed[place] if place >= 0 else None
            if found is None and epoch != last:
                raise EnvironmentFault(
                    f"{calls.endpoint.where}: job {one_line(done.id)} has no checkpoint of epoch {epoch}. "
                    "Take its step out of recipe.keep."
                )
            model = done.fine_tuned_model
            if found is not None and epoch != last:
                model = found.fine_tuned_model_checkpoint
            tuned[step] = _Tuned(str(model), found.metrics.train_loss if found is not None else None)
        return tuned

    def _keep(self, job: Job, step: int, tuned: _Tuned, done: FineTuningJob) -> None:
        endpoint = self.options.endpoint().base_url
        billed = done.trained_tokens
        about = {
            "model": tuned.model,
            "base": done.model,
            "endpoint": endpoint,
            "job": done.id,
            "billed_tokens": billed,
        }

        def write(directory: Path) -> None:
            write_text(directory / REMOTE_MODEL, json.dumps(about, indent=2) + "\n")

        publish_files(job, self.base, step, tuned.loss, write)

    @property
    def _label(self) -> str:
        return f"{self.name} {self.version} {json.dumps(self.options.inputs(), sort_keys=True)}"
