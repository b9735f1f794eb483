"""Executor ``processes``: forks of this process work too, where a small model would leave processors idle.

A fork has the plan and the loaded model already. Units are handed out in this process, one at a time, to
whoever is free. What a fork has not published when it ends, with an error or without, is done here, which
raises the real error: only the time depends on forks.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar, NoReturn

from puretune.errors import InputError
from puretune.inference import LocalSpec
from puretune.models import is_small
from puretune.processes import end_with_parent
from puretune.study.run.perform import perform
from puretune.study.run.progress import Progress, here
from puretune.study.run.unit_queue import Patience, UnitQueue
from puretune.study.run.units import AnswerUnit, LikelihoodUnit, TuneUnit, Unit
from puretune.study.run.worker import Worker
from puretune.tuning import GangOptions

_WORTH_A_FORK = 8
"""Pools from which on a fork is worth its start; two gangs are."""

_PATIENCE, _GRACE = 2.0, 30.0
"""When all else is done, a fork may take this many times as long as everything before, and so many seconds
more."""


@dataclass(frozen=True)
class ProcessesExecutor:
    """Units in this process and in forks of it; for models that leave processors idle."""

    workers: int = 2
    """Processes, this one included."""

    name: ClassVar[str] = "processes"

    def __post_init__(self) -> None:
        """InputError if a value makes no sense."""
        if self.workers < 1:
            raise InputError(f"workers: {self.workers} is out of range. Give at least 1.")

    def identity(self) -> dict[str, Any]:
        """Name and options."""
        return {"name": self.name, **asdict(self)}

    def open(self, worker: Worker) -> Callable[[Sequence[Unit]], None]:
        """The executor."""
        return partial(_run, worker, self.workers - 1)

    def pays(self, worker: Worker, units: Sequence[Unit]) -> bool:
        """Whether forks are of use: enough units for them, a small model on one of several processors."""
        works = [unit.work for unit in units if _can_fork(unit, worker)]
        enough = works.count(TuneUnit.work) > 1 or works.count(AnswerUnit.work) >= _WORTH_A_FORK
        return (
            enough
            and not _unfit(worker)
            and len(os.sched_getaffinity(0)) > 1
            and is_small(worker.base.base.model)
        )


def _run(worker: Worker, count: int, units: Sequence[Unit]) -> None:
    progress = Progress(worker.plan, units, worker.on_event)
    queue = UnitQueue(units, [_can_fork(unit, worker) for unit in units])
    forks: list[_Fork] = []

    def kill() -> None:
        for fork in forks:
            fork.kill()

    try:
        if any(queue.elsewhere):
            forks = _forks(worker, count, units)
        for fork in forks:  # threads start when there is nothing left to fork
            fork.attend(queue, progress)
        patience = Patience(_PATIENCE, _GRACE)
        while (number := queue.take(patience.seconds, kill)) is not None:
            with progress.unit(number, here()) as tell:
                perform(units[number], worker, tell)
            queue.done(number)
    finally:
        queue.close()
        for fork in forks:
            fork.end()


def _forks(worker: Worker, count: int, units: Sequence[Unit]) -> list[_Fork]:
    """InputError if the model is not on a CPU with one thread: such a process cannot be forked."""
    why = _unfit(worker)  # loads the model, which all forks then share
    if why:
        raise InputError(f"executor 'processes' forks this process, and {why}. Use --executor local.")
    return [_Fork(units, worker) for _ in range(count)]


def _can_fork(unit: Unit, worker: Worker) -> bool:
    """Whether a unit can be done in a fork: by the tuner and the engine that work on the loaded model."""
    if isinstance(unit, TuneUnit):
        return worker.plan.resolved.tuned[unit.steps[0].condition].tuner.name == GangOptions.name
    return (
        isinstance(unit, AnswerUnit | LikelihoodUnit) and worker.plan.resolved.engine.name == LocalSpec.name
    )


def _unfit(worker: Worker) -> str:
    """Why this process cannot be forked; empty if it can."""
    base = worker.plan.resolved.base
    if sys.platform != "linux":
        return "that is safe on Linux only"
    if base.device != "cpu" or base.spec.quantization is not None:
        return f"a model on {base.device} or a quantized one cannot be shared"
    threads = worker.base.base.threads
    return "" if threads == 1 else f"the model runs on {threads} threads, which a fork does not get"


class _Fork:
    """A forked process, and the thread here that hands it units and passes its events on."""

    def __init__(self, units: Sequence[Unit], worker: Worker) -> None:
        self._thread: Thread | None = None
        self._pipe, other = Pipe()
        here = os.getpid()
        self.id = os.fork()
        if self.id == 0:
            self._pipe.close()
            _live(units, worker, other, here)
        other.close()

    def attend(self, queue: UnitQueue, progress: Progress) -> None:
        """Keep it busy while there is something for it to do."""
        self._thread = Thread(target=self._attend, args=(queue, progress), daemon=True)
        self._thread.start()

    def kill(self) -> None:
        """End it now; without effect if it has ended."""
        os.kill(self.id, signal.SIGKILL)

    def end(self) -> None:
        """End it, and wait until it has."""
        self.kill()
        os.waitpid(self.id, 0)
        if self._thread is not None:
            self._thread.join()

    def _attend(self, queue: UnitQueue, progress: Progress) -> None:
        with self._pipe as pipe:
            while (number := queue.take_elsewhere()) is not None:
                try:
                    with progress.unit(number, f"{here()}, fork {self.id}") as tell:
                        pipe.send(number)
                        while (event := pipe.recv()) is not None:
                            tell(event)
                except (EOFError, OSError):
                    return queue.give_back(number)
                except BaseException as error:  # of whoever watches
                    return queue.fail(error)
                queue.done(number)
        return None


def _live(units: Sequence[Unit], worker: Worker, pipe: Connection, parent: int) -> NoReturn:
    """The life of a fork. It prints nothing and leaves nothing of its parent's behind."""
    try:
        end_with_parent(parent)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 (its parent's may be locked)
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        worker.on_event = pipe.send
        while True:
            perform(units[pipe.recv()], worker, pipe.send)
            pipe.send(None)
    finally:
        os._exit(0)
