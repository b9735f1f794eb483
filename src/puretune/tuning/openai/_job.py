"""One fine-tuning job: file uploaded once, job started once, watched to its end, found again after a crash.

What is known of it is in ``job.json`` before anything is waited for. A job is also marked, at the provider,
with the digest of its inputs: one that was started and never heard of is found by that.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from puretune.errors import EnvironmentFault, InputError
from puretune.events import Advanced, EventSink
from puretune.models import Endpoint
from puretune.store import write_text
from puretune.tuning.openai._client import plain_errors

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent

ENDED = ("succeeded", "failed", "cancelled")
"""Any other status, known or not, means that the job goes on."""
_NAME = "job.json"
_MARK = "puretune"
_LOOKED_AT = 1000
"""Files and jobs of the account that are searched, newest first."""
_PROCESSING = 1800.0
"""Seconds that the provider may take to look at a file."""


@dataclass(frozen=True)
class Known:
    """What is known of a job so far."""

    inputs: str
    file: str | None = None
    job: str | None = None


class Desk:
    """Where one condition's job is managed."""

    def __init__(self, client: OpenAI, endpoint: Endpoint, place: Path, inputs: str, poll: float) -> None:
        """InputError where ``place`` is about a job with other inputs."""
        self._client = client
        self._endpoint = endpoint
        self._path = place / _NAME
        self._poll = poll
        self.known = known_job(place, inputs)

    def upload(self, content: bytes) -> str:
        """The id of the provider's copy of a training file; InputError where it finds the file wrong."""
        name = f"puretune-{hashlib.sha256(content).hexdigest()[:32]}.jsonl"
        with plain_errors(self._endpoint):
            file = self.known.file or self._uploaded(name, len(content))
            if file is None:
                file = self._client.files.create(file=(name, content), purpose="fine-tune").id
            self._note(replace(self.known, file=file))
            try:
                done = self._client.files.wait_for_processing(
                    file, poll_interval=self._poll, max_wait_seconds=_PROCESSING
                )
            except RuntimeError as error:
                raise EnvironmentFault(
                    f"{self._endpoint.where}: {error} Run the same command later."
                ) from error
        if done.status == "error":
            self._note(replace(self.known, file=None))
            raise InputError(f"{self._endpoint.where} cannot use the training data: {done.status_details}.")
        return file

    def start(self, request: Mapping[str, Any]) -> str:
        """The id of the job: the known one, one found at the provider, or a new one."""
        job = self.known.job or self._find()
        job = job if job is not None else self._create(request)
        self._note(replace(self.known, job=job))
        return job

    def wait(self, work: str, on_event: EventSink) -> FineTuningJob:
        """The job once it has succeeded. EnvironmentFault where it failed or was cancelled."""
        assert self.known.job is not None
        seen = 0
        while True:
            with plain_errors(self._endpoint):
                job = self._client.fine_tuning.jobs.retrieve(self.known.job)
                events = list(islice(self._client.fine_tuning.jobs.list_events(self.known.job, limit=20), 20))
            seen = max([seen, *(_step(event) for event in events)])
            on_event(Advanced(work, seen, _said(job, events)))
            if job.status in ENDED:
                break
            time.sleep(self._poll)
        if job.status != "succeeded" or not job.fine_tuned_model:
            self._note(replace(self.known, job=None))
            raise EnvironmentFault(
                f"{self._endpoint.where}: job {job.id} {_failure(job)} Run again to start anew."
            )
        return job

    def cancel(self) -> None:
        """Cancels the job and forgets it."""
        if self.known.job is not None:
            with plain_errors(self._endpoint):
                self._client.fine_tuning.jobs.cancel(self.known.job)
            self._note(replace(self.known, job=None))

    def _uploaded(self, name: str, size: int) -> str | None:
        files = islice(self._client.files.list(purpose="fine-tune"), _LOOKED_AT)
        return next(
            (f.id for f in files if (f.filename, f.bytes) == (name, size) and f.status != "error"), None
        )

    def _find(self) -> str | None:
        with plain_errors(self._endpoint):
            jobs = islice(
                self._client.fine_tuning.jobs.list(limit=100, metadata={_MARK: self.known.inputs}), _LOOKED_AT
            )
            ours = [job for job in jobs if (job.metadata or {}).get(_MARK) == self.known.inputs]
        return next((job.id for job in ours if job.status not in ("failed", "cancelled")), None)

    def _create(self, request: Mapping[str, Any]) -> str:
        """Starts a job, once: where no reply comes, it is looked for before it is asked for again."""
        import openai

        passing = (openai.APIConnectionError, openai.InternalServerError, openai.RateLimitError)
        once = self._client.with_options(max_retries=0)
        for turn in range(1, self._endpoint.limits.tries + 1):
            with plain_errors(self._endpoint):
                try:
                    return once.fine_tuning.jobs.create(**request, metadata={_MARK: self.known.inputs}).id
                except passing as error:
                    quota = getattr(error, "code", None) == "insufficient_quota"
                    if quota or turn == self._endpoint.limits.tries:
                        raise
            time.sleep(min(self._poll, 2.0**turn))
            found = self._find()
            if found is not None:
                return found
        raise AssertionError("the last try returns or raises")

    def _note(self, known: Known) -> None:
        if known != self.known:
            self.known = known
            write_text(self._path, json.dumps(asdict(known)) + "\n")


def known_job(place: Path, inputs: str) -> Known:
    """What an earlier run noted in ``place``. InputError where that is about a job with other inputs."""
    path = place / _NAME
    try:
        known = Known(**json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return Known(inputs)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{path}: not readable ({error}). Remove it; the job is found at the provider."
        ) from error
    if known.inputs != inputs:
        raise InputError(
            f"{path} is about a job with other rows, recipe, seed, model or options. Choose another output "
            "directory, or remove it."
        )
    return known


def _said(job: FineTuningJob, events: list[FineTuningJobEvent]) -> str:
    newest = max(events, key=lambda event: event.created_at, default=None)
    return f"{job.id} {job.status}" + (f": {newest.message}" if newest is not None else "")


def _step(event: FineTuningJobEvent) -> int:
    data = event.data if isinstance(event.data, dict) else {}
    step = data.get("step")
    return step if isinstance(step, int) else 0


def _failure(job: FineTuningJob) -> str:
    error = job.error
    if error is None or not (error.code or error.message):
        return f"has ended: {job.status}."
    about = f", {error.param}" if error.param else ""
    return f"has {job.status} ({error.code}{about}): {error.message}"
