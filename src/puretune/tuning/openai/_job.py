"""One fine-tuning job: file uploaded once, job started once, watched to its end, found again after a crash.

What is known of it is in ``job.json`` before anything is waited for. A job is also marked, at the provider,
with the digest of its inputs: one that was started and never heard of is found by that.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from puretune.endpoints import need
from puretune.errors import EnvironmentFault, InputError
from puretune.events import Advanced, EventSink
from puretune.files import read_mapping
from puretune.store import write_text
from puretune.tuning.openai._client import Calls
from puretune.visible import one_line, visible

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types import FileObject
    from openai.types.fine_tuning import FineTuningJob, FineTuningJobEvent
    from openai.types.fine_tuning.jobs import FineTuningJobCheckpoint

_Item = TypeVar("_Item")

ENDED = ("succeeded", "failed", "cancelled")
"""Any other status, known or not, means that the job is still running."""
_NAME = "job.json"
_MARK = "puretune"
_LOOKED_AT = 1000
"""Files and jobs of the account that are searched, newest first."""
_PROCESSING = 1800.0
"""Seconds that the provider may take to look at a file."""
_REMOVE = "Remove it; the job is found at the provider."
_LOOKED_THROUGH = ("processed", "error", "deleted")
_MAYBE_TEXT = str | None
_MAYBE_NUMBER = int | float | None


@dataclass(frozen=True)
class Known:
    """What is known of a job so far."""

    inputs: str
    file: str | None = None
    job: str | None = None


class Desk:
    """Where one task's job is managed."""

    def __init__(self, calls: Calls, place: Path, inputs: str, poll: float) -> None:
        """InputError if ``place`` is about a job with other inputs."""
        self._calls = calls
        self._where = calls.endpoint.where
        self._path = place / _NAME
        self._poll = poll
        self.known = known_job(place, inputs)

    def upload(self, content: bytes) -> str:
        """The id of the provider's copy of a training file; InputError if it finds the file wrong."""
        name = f"puretune-{hashlib.sha256(content).hexdigest()[:32]}.jsonl"
        file = self.known.file or self._calls.ask(lambda sdk: _uploaded(sdk, name, len(content)))
        if file is None:
            file = self._calls.ask(lambda sdk: _upload(sdk, name, content))
        self._note(replace(self.known, file=file))
        done = self._processed(file)
        if done.status == "error":
            self._note(replace(self.known, file=None))
            raise InputError(f"{self._where} cannot use the training data: {one_line(done.status_details)}.")
        return file

    def start(self, request: Mapping[str, Any]) -> str:
        """The id of the job: the known one, one found at the provider, or a new one.

        A job is started once: where no reply comes, it is looked for before it is asked for again.
        """
        inputs = self.known.inputs
        job = self.known.job or self._calls.ask(lambda sdk: _find(sdk, inputs))
        if job is None:
            job = self._calls.ask(
                lambda sdk: _create(sdk, request, inputs), before_next=lambda sdk: _find(sdk, inputs)
            )
        self._note(replace(self.known, job=job))
        return job

    def wait(self, work: str, on_event: EventSink) -> FineTuningJob:
        """The job once it has succeeded. EnvironmentFault if it failed or was cancelled."""
        assert self.known.job is not None
        id, seen = self.known.job, 0
        while True:
            job = self._calls.ask(lambda sdk: _job(sdk, id))
            events = self._calls.ask(lambda sdk: _events(sdk, id))
            seen = max([seen, *(_step(event) for event in events)])
            on_event(Advanced(work, seen, _said(job, events)))
            if job.status in ENDED:
                break
            time.sleep(self._poll)
        if job.status != "succeeded" or not job.fine_tuned_model:
            self._note(replace(self.known, job=None))
            raise EnvironmentFault(
                f"{self._where}: job {one_line(job.id)} {_failure(job)} Run again to start a new job."
            )
        return job

    def cancel(self) -> None:
        """Cancels the job and forgets it."""
        job = self.known.job
        if job is not None:
            self._calls.ask(lambda sdk: sdk.fine_tuning.jobs.cancel(job))
            self._note(replace(self.known, job=None))

    def _processed(self, file: str) -> FileObject:
        """The file once the provider has processed it."""
        waited = 0.0
        while (found := self._calls.ask(lambda sdk: _file(sdk, file))).status not in _LOOKED_THROUGH:
            if waited >= _PROCESSING:
                raise EnvironmentFault(
                    f"{self._where}: file {one_line(file)} is still being processed after "
                    f"{_PROCESSING:,.0f} s. Run the same command later."
                )
            time.sleep(self._poll)
            waited += self._poll
        return found

    def _note(self, known: Known) -> None:
        if known != self.known:
            self.known = known
            write_text(self._path, json.dumps(asdict(known)) + "\n")


async def _uploaded(sdk: AsyncOpenAI, name: str, size: int) -> str | None:
    """A file of the account that is this one already."""
    async for file in _first(sdk.files.list(purpose="fine-tune")):
        need(file, id=str, status=str)
        if (file.filename, file.bytes) == (name, size) and file.status != "error":
            return str(file.id)
    return None


async def _upload(sdk: AsyncOpenAI, name: str, content: bytes) -> str:
    return need(await sdk.files.create(file=(name, content), purpose="fine-tune"), id=str).id


async def _file(sdk: AsyncOpenAI, file: str) -> FileObject:
    return need(await sdk.files.retrieve(file), id=str, status=str)


async def _find(sdk: AsyncOpenAI, inputs: str) -> str | None:
    """A job of these inputs that is under way or done."""
    async for job in _first(sdk.fine_tuning.jobs.list(limit=100, metadata={_MARK: inputs})):
        ours = (need(job, id=str, status=str).metadata or {}).get(_MARK) == inputs
        if ours and job.status not in ("failed", "cancelled"):
            return str(job.id)
    return None


async def _create(sdk: AsyncOpenAI, request: Mapping[str, Any], inputs: str) -> str:
    job = await sdk.fine_tuning.jobs.create(**request, metadata={_MARK: inputs})
    return need(job, id=str).id


async def _job(sdk: AsyncOpenAI, id: str) -> FineTuningJob:
    job = await sdk.fine_tuning.jobs.retrieve(id)
    return need(
        job, id=str, status=str, model=str, fine_tuned_model=_MAYBE_TEXT, trained_tokens=_MAYBE_NUMBER
    )


async def _events(sdk: AsyncOpenAI, id: str) -> list[FineTuningJobEvent]:
    listed = _first(sdk.fine_tuning.jobs.list_events(id, limit=20), 20)
    return [need(event, message=_MAYBE_TEXT, created_at=int | float) async for event in listed]


async def checkpoints(sdk: AsyncOpenAI, id: str) -> list[FineTuningJobCheckpoint]:
    """The checkpoints that a job has left, in the order of their steps."""
    found = []
    async for one in _first(sdk.fine_tuning.jobs.checkpoints.list(id)):
        need(one, step_number=int, fine_tuned_model_checkpoint=str)
        need(one.metrics, train_loss=_MAYBE_NUMBER)
        found.append(one)
    return sorted(found, key=lambda one: one.step_number)


async def _first(listed: AsyncIterable[_Item], most: int = _LOOKED_AT) -> AsyncIterator[_Item]:
    """The first items of a list that comes in pages."""
    taken = 0
    async for item in listed:
        yield item
        taken += 1
        if taken == most:
            return


def known_job(place: Path, inputs: str) -> Known:
    """What an earlier run noted in ``place``. InputError if that is about a job with other inputs."""
    path = place / _NAME
    if not path.exists():
        return Known(inputs)
    known = _read(path)
    if known.inputs != inputs:
        raise InputError(
            f"{path} describes a job with other rows, recipe, seed, model or options. Choose another output "
            "directory, or remove it."
        )
    return known


def _read(path: Path) -> Known:
    try:
        given = read_mapping(path, "job's notes")
    except InputError as error:
        raise InputError(f"{error} {_REMOVE}") from error
    wrong = given.keys() != {"inputs", "file", "job"} or not isinstance(given["inputs"], str)
    if wrong or not all(isinstance(given[name], _MAYBE_TEXT) for name in ("file", "job")):
        raise InputError(f"{visible(path)}: not what puretune wrote there. {_REMOVE}")
    return Known(**given)


def _said(job: FineTuningJob, events: list[FineTuningJobEvent]) -> str:
    newest = max(events, key=lambda event: event.created_at, default=None)
    said = f"{job.id} {job.status}" + (f": {newest.message}" if newest is not None else "")
    return one_line(said)


def _step(event: FineTuningJobEvent) -> int:
    data = event.data if isinstance(event.data, dict) else {}
    step = data.get("step")
    return step if isinstance(step, int) and not isinstance(step, bool) else 0


def _failure(job: FineTuningJob) -> str:
    error = job.error
    code, said = getattr(error, "code", None), getattr(error, "message", None)
    if not (code or said):
        return f"has ended: {one_line(job.status)}."
    param = getattr(error, "param", None)
    about = f", {one_line(param)}" if param else ""
    return f"has {one_line(job.status)} ({one_line(code)}{about}): {one_line(said)}"
