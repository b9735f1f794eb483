"""A worker of a Ray cluster, and the thread in the driver that hands out units to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import ray
import torch
from ray.exceptions import RayActorError, RayError, RayTaskError

import puretune
from puretune.endpoints import Notice
from puretune.errors import EnvironmentFault, PuretuneError
from puretune.events import Event, ignore
from puretune.store import Store
from puretune.study.plan.steps import Plan
from puretune.study.run.perform import perform
from puretune.study.run.progress import Progress, here
from puretune.study.run.unit_queue import UnitQueue
from puretune.study.run.units import Unit
from puretune.study.run.worker import Worker
from puretune.visible import one_line, visible

SECOND = "second"
"""Folder of the resume points of second copies."""
_TELL = 2.0
"""Seconds between two reports of a worker."""
_ALONE = 300.0
"""Seconds that a run goes on without any worker: one may be starting, or a cluster growing."""


@ray.remote
class RemoteWorker:
    """A process on some machine of the cluster, with its own models."""

    def __init__(
        self,
        plan: Plan,
        open_store: Callable[[], Store],
        scratch: Path,
        units: Sequence[Unit],
        probe: Path | None,
    ) -> None:
        self._plan, self._open_store, self._probe = plan, open_store, probe
        self._units, self._scratch = units, scratch
        self._thread = ThreadPoolExecutor(1)  # one for all units: torch counts its threads by thread

    def ready(self) -> tuple[str, str, str]:
        """Who this is, and what it computes with; EnvironmentFault if it cannot see the run's store."""
        if self._probe is not None and not self._probe.is_file():
            raise EnvironmentFault(
                f"{here()} does not see the run's store, {visible(self._probe.parent)}. Put the run "
                "directory (--out) on a file system that all machines share, or let PURETUNE_STORE name a "
                "bucket."
            )
        self._worker = Worker(self._plan, self._open_store(), self._scratch, ignore, _agreed)
        return here(), puretune.__version__, torch.__version__

    def perform(self, number: int, second: bool) -> Iterator[Event]:
        """The unit's events, the last of each kind every few seconds. A second copy of a unit keeps its
        resume points to itself."""
        self._worker.scratch = self._scratch / SECOND if second else self._scratch
        last: dict[type[Event], Event] = {}
        done = self._thread.submit(perform, self._units[number], self._worker, partial(_keep, last))
        while not done.done():
            wait([done], timeout=_TELL)
            for kind in list(last):  # Ray's generators know no `yield from`
                yield last.pop(kind)
        done.result()


def _keep(last: dict[type[Event], Event], event: Event) -> None:
    last[type(event)] = event


def _agreed(notice: Notice) -> None:
    """The driver has asked."""


@dataclass
class Crew:
    """What the workers of one run have in common."""

    worker: Worker
    """The driver's."""
    units: Sequence[Unit]
    probe: Path | None
    """A file that a worker must see; None where the store is a bucket."""
    needs: Mapping[str, float]
    """What Ray reserves for a worker."""
    tries: int
    again_after: float
    _up: int = 0
    _since: float = field(default_factory=time.monotonic)
    """When the number of workers that are up last was, or became, 0."""
    _lock: Lock = field(default_factory=Lock)

    def starting(self) -> Any:
        """A new worker; it waits in Ray until there is room for it."""
        threads = {"OMP_NUM_THREADS": str(max(1, int(self.needs["num_cpus"])))}
        kind = RemoteWorker.options(  # type: ignore[attr-defined]
            **self.needs,
            max_restarts=0,  # a worker that died has a successor: its seat sees to it
            max_task_retries=0,  # what is begun again is decided by the queue
            runtime_env={"env_vars": {"TOKENIZERS_PARALLELISM": "false", **threads}},
        )
        scratch, opener = self.worker.scratch.absolute(), self.worker.store.opener()
        return kind.remote(self.worker.plan, opener, scratch, self.units, self.probe)

    def count(self, change: int) -> None:
        """Count a worker that has started (+1) or died (-1)."""
        with self._lock:
            self._up += change
            self._since = time.monotonic()

    def check(self) -> None:
        """EnvironmentFault if there has been no worker for too long."""
        with self._lock:
            if not self._up and time.monotonic() - self._since > _ALONE:
                raise EnvironmentFault(
                    f"the Ray cluster had no room for a worker for {_ALONE:.0f} s. Look with `ray status`. "
                    "What is done is kept; the same command resumes."
                )


class Seat:
    """A place for a worker: the worker, its successors if it dies, and the thread that hands it units."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._actor: Any = None
        self._who = ""
        self._thread: Thread | None = None

    def attend(self, queue: UnitQueue, progress: Progress) -> None:
        """Keep a worker busy while there is something to do elsewhere."""
        self._thread = Thread(target=self._attend, args=(queue, progress), daemon=True)
        self._thread.start()

    def end(self) -> None:
        """End the worker, and wait for the thread."""
        if self._actor is not None:
            ray.kill(self._actor)
        if self._thread is not None:
            self._thread.join()

    def _attend(self, queue: UnitQueue, progress: Progress) -> None:
        try:
            while self._start(queue):
                number = queue.take_elsewhere(self._crew.again_after)
                if number is None:
                    return
                self._do(number, queue, progress)
        except BaseException as error:
            if not queue.is_over:
                queue.fail(_cause(error))

    def _start(self, queue: UnitQueue) -> bool:
        """Whether a worker is up before all is done; waits for room in the cluster."""
        if self._actor is not None:
            return True
        actor = self._crew.starting()
        ready = actor.ready.remote()
        while not ray.wait([ready], timeout=1.0)[0]:
            self._crew.check()
            if not queue.wants_others:
                ray.kill(actor)
                return False
        try:
            who, *software = ray.get(ready)
        except RayActorError:  # its machine died meanwhile
            self._crew.check()
            time.sleep(1.0)
            return self._start(queue)
        _check_software(who, *software)
        self._actor, self._who = actor, who
        self._crew.count(+1)
        return True

    def _do(self, number: int, queue: UnitQueue, progress: Progress) -> None:
        try:
            self._perform(number, queue, progress)
        except RayActorError as error:  # the worker died, or its machine
            self._actor = None
            self._crew.count(-1)
            if queue.begun(number) >= self._crew.tries:
                raise _died(self._crew.units[number], self._crew.tries, error) from error
            queue.give_back(number, elsewhere=True)

    def _perform(self, number: int, queue: UnitQueue, progress: Progress) -> None:
        second = queue.copies(number) > 1
        with progress.unit(number, self._who) as tell:
            for reference in self._actor.perform.options(num_returns="streaming").remote(number, second):
                event = ray.get(reference)
                if queue.copies(number):
                    tell(event)
        queue.done(number)


def _check_software(who: str, version: str, its_torch: str) -> None:
    mine = (puretune.__version__, torch.__version__)
    if (version, its_torch) != mine:
        raise EnvironmentFault(
            f"{who} has puretune {version} with torch {its_torch}, this machine {mine[0]} with {mine[1]}. "
            "Install the same on all machines: results would differ."
        )


def _died(unit: Unit, tries: int, error: RayActorError) -> EnvironmentFault:
    return EnvironmentFault(
        f"{tries} workers died one after the other at the same unit ({unit.work}, "
        f"{unit.steps[0].key[:12]}): {one_line(error)}. Where memory ran out, let fewer workers share a "
        "machine: --executor-option cpus=N. What is done is kept; the same command resumes."
    )


def _cause(error: BaseException) -> BaseException:
    """puretune's own error where a worker raised one."""
    cause = error.cause if isinstance(error, RayTaskError) else error
    if not isinstance(error, RayError) or isinstance(cause, PuretuneError):
        return cause
    return EnvironmentFault(f"a worker failed: {type(cause).__name__}: {one_line(cause, 600)}")
