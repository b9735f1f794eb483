"""Executor ``ray``: units of work on the machines of a Ray cluster.

Ray says who is there and starts workers; it holds nothing that counts. A worker is an actor that keeps its
models loaded and takes one unit after another; what it makes is published in the run's store, which every
machine must see (a shared file system or object storage). A worker that dies loses the unit under way: the
next one does it again, and resumes tuning at its last resume point. A killed driver loses nothing: the same
command resumes.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from puretune.errors import EnvironmentFault, InputError
from puretune.inference import LocalSpec
from puretune.store import Store, temporary_name, write_text
from puretune.study.plan.steps import Plan
from puretune.study.run.perform import perform
from puretune.study.run.progress import Progress, here
from puretune.study.run.unit_queue import UnitQueue
from puretune.study.run.units import AnswerUnit, LikelihoodUnit, ScoreUnit, TransformUnit, TuneUnit, Unit
from puretune.study.run.worker import Worker
from puretune.visible import one_line, visible

try:
    import ray
    from ray.exceptions import RayError

    from puretune.study.run.ray_worker import SECOND, Crew, Seat
except ModuleNotFoundError:
    raise EnvironmentFault("executor 'ray' needs Ray. Install it: pip install 'puretune[ray]'.") from None

_POLL = 5.0
"""Seconds after which the driver looks again whether something has changed."""


@dataclass(frozen=True)
class RayExecutor:
    """Units on a Ray cluster: an existing one, or one that this command starts on this machine."""

    address: str | None = None
    """``auto`` or HOST:PORT of a cluster; None: a cluster of this machine alone, for this run."""
    workers: int = 0
    """Workers; 0: as many as the cluster has room for."""
    gpus: float | None = None
    """GPUs of a worker; None: 1 where the model is on a GPU, else 0."""
    cpus: float | None = None
    """CPUs of a worker; None: the threads of the model on a CPU, else 1."""
    tries: int = 4
    """How often a unit is begun where workers die on it."""
    again_after: float = 900.0
    """Seconds after which a unit is handed out a second time to a worker that has nothing else to do."""

    name: ClassVar[str] = "ray"

    def __post_init__(self) -> None:
        """InputError if a value makes no sense."""
        for option in ("workers", "gpus", "cpus"):
            value = getattr(self, option)
            if value is not None and not 0 <= value < 1e6:
                raise InputError(f"{option}: {value} is out of range. Give at least 0.")
        if self.tries < 1 or not self.again_after > 0:
            raise InputError("tries and again_after must be positive.")

    def identity(self) -> dict[str, Any]:
        """Name and options."""
        return {"name": self.name, **asdict(self)}

    def open(self, worker: Worker) -> Callable[[Sequence[Unit]], None]:
        """The executor."""
        return partial(_run, self, worker)


def _run(spec: RayExecutor, worker: Worker, units: Sequence[Unit]) -> None:
    elsewhere = [_can_travel(unit, worker) for unit in units]
    queue = UnitQueue(units, elsewhere)
    progress = Progress(worker.plan, units, worker.on_event)
    if not any(elsewhere):
        _do_here(queue, units, worker, progress)
        return
    with _cluster(spec.address), _probe(worker.store) as probe:
        needs = _resources(spec, worker)
        crew = Crew(worker, units, probe, needs, spec.tries, spec.again_after)
        seats = [Seat(crew) for _ in range(_room(spec, needs, sum(elsewhere)))]
        try:
            for seat in seats:
                seat.attend(queue, progress)
            _do_here(queue, units, worker, progress)
        finally:
            queue.close()
            for seat in seats:
                seat.end()
            shutil.rmtree(worker.scratch / SECOND, ignore_errors=True)


def _do_here(queue: UnitQueue, units: Sequence[Unit], worker: Worker, progress: Progress) -> None:
    """What cannot travel is done in this process, as its turn comes."""
    while (number := queue.take(lambda: _POLL, _nothing, lambda one: not queue.elsewhere[one])) is not None:
        with progress.unit(number, here()) as tell:
            perform(units[number], worker, tell)
        queue.done(number)


def _nothing() -> None:
    """Nobody is ended for being slow: a second worker does the same unit."""


def _can_travel(unit: Unit, worker: Worker) -> bool:
    """What an endpoint does (its keys, its pace, its bill) stays in this process."""
    if isinstance(unit, TuneUnit):
        return not worker.plan.resolved.tuned[unit.steps[0].condition].tuner.remote
    if isinstance(unit, AnswerUnit | LikelihoodUnit):
        return worker.plan.resolved.engine.name == LocalSpec.name
    if isinstance(unit, ScoreUnit):
        return not _is_judge(unit, worker.plan)
    return isinstance(unit, TransformUnit)


def _is_judge(unit: ScoreUnit, plan: Plan) -> bool:
    name = unit.steps[0].scorer
    scorers = [scorer for suite in plan.resolved.suites for scorer in suite.scorers if scorer.name == name]
    return any(hasattr(scorer, "notice") for scorer in scorers)


@contextmanager
def _cluster(address: str | None) -> Iterator[None]:
    """Connected to a cluster; one that was started here ends with the block."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    mine = not ray.is_initialized()
    if mine:
        try:
            ray.init(
                address=address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                include_dashboard=None if address else False,
                namespace=f"puretune-{os.getpid()}",
            )
        except (ConnectionError, RuntimeError, ValueError, RayError) as error:
            raise EnvironmentFault(
                f"no Ray cluster at {visible(address or 'this machine')}: {one_line(error)}. Start one with "
                "`ray start --head`, give --address HOST:PORT, or leave --address out."
            ) from error
    try:
        yield
    finally:
        if mine:
            ray.shutdown()


@contextmanager
def _probe(store: Store) -> Iterator[Path | None]:
    """A file in the store that every worker must see; None for a bucket, which each opens for itself."""
    if type(store) is not Store:
        yield None
        return
    probe = temporary_name(store.root.absolute() / "ray")
    write_text(probe, here())
    try:
        yield probe
    finally:
        probe.unlink(missing_ok=True)


def _resources(spec: RayExecutor, worker: Worker) -> dict[str, float]:
    """What Ray reserves for a worker."""
    on_gpu = worker.plan.resolved.base.device != "cpu"
    threads = None if on_gpu else worker.base.base.threads
    return {
        "num_cpus": spec.cpus if spec.cpus is not None else float(threads or 1),
        "num_gpus": spec.gpus if spec.gpus is not None else float(on_gpu),
    }


def _room(spec: RayExecutor, needs: dict[str, float], units: int) -> int:
    """How many workers; EnvironmentFault if the cluster has no room for one."""
    nodes: list[Any] = ray.nodes()  # type: ignore[no-untyped-call]
    free = [node["Resources"] for node in nodes if node["Alive"]]
    there = {kind: sum(node.get(kind, 0.0) for node in free) for kind in ("CPU", "GPU")}
    fits = sum(_on_node(node, needs) for node in free)
    if not fits:
        raise EnvironmentFault(
            f"no machine of the Ray cluster has {needs['num_cpus']:g} CPUs and {needs['num_gpus']:g} GPUs "
            f"for a worker; all together have {there['CPU']:g} CPUs and {there['GPU']:g} GPUs. "
            "Add machines, or ask for less with --executor-option cpus=1."
        )
    return max(1, min(spec.workers or fits, units))


def _on_node(node: dict[str, float], needs: dict[str, float]) -> int:
    wanted = [(node.get(kind, 0.0), needs[f"num_{kind.lower()}s"]) for kind in ("CPU", "GPU")]
    return int(min((has // need for has, need in wanted if need), default=1))
