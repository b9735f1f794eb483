"""Executors: where and when units of work are done, never what. Chosen by name; packages can add them.

A package offers one by an entry point of the group ``puretune.executors``: a frozen dataclass of its options.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Protocol

from puretune.errors import InputError
from puretune.plugins import Plugins
from puretune.study.run.perform import perform
from puretune.study.run.processes_executor import ProcessesExecutor
from puretune.study.run.progress import Progress, here
from puretune.study.run.units import Unit
from puretune.study.run.worker import Worker

AUTO = "auto"
"""``processes`` where it is faster, else ``local``."""


Executor = Callable[[Sequence[Unit]], None]
"""Does units of work, each after those that make what it needs; they come in such an order."""


class ExecutorSpec(Protocol):
    """A frozen dataclass with an executor's options as its fields, each with a default."""

    @property
    def name(self) -> str: ...

    def identity(self) -> dict[str, Any]:
        """Name and options. They are in no key: results are the same whatever the executor."""
        ...

    def open(self, worker: Worker) -> Executor:
        """The executor; ``worker`` does what is to be done in this process."""
        ...


@dataclass(frozen=True)
class LocalExecutor:
    """Every unit in this process, one after the other."""

    name: ClassVar[str] = "local"

    def identity(self) -> dict[str, Any]:
        """Its name: it has no options."""
        return {"name": self.name}

    def open(self, worker: Worker) -> Executor:
        """The executor."""
        return partial(_in_order, worker)


def _in_order(worker: Worker, units: Sequence[Unit]) -> None:
    progress = Progress(worker.plan, units, worker.on_event)
    for number, unit in enumerate(units):
        with progress.unit(number, here()) as tell:
            perform(unit, worker, tell)


EXECUTORS = Plugins[Any](
    "puretune.executors",
    "executor",
    {
        "local": LocalExecutor,
        "processes": ProcessesExecutor,
        "ray": "puretune.study.run.ray_executor:RayExecutor",
    },
    ExecutorSpec,
)


def executor_with(name: str, options: Mapping[str, Any]) -> str | ExecutorSpec:
    """An executor with options, as ``run_study`` takes it; InputError for an unknown name or option."""
    if not options:
        return name
    if name == AUTO:
        raise InputError("executor auto has no options. Name one: --executor ray.")
    spec: ExecutorSpec = EXECUTORS.options(name, options)
    return spec


def executor_named(name: str | ExecutorSpec, worker: Worker, units: Sequence[Unit]) -> ExecutorSpec:
    """The executor of that name; InputError for an unknown one. ``auto`` looks at the model and the units."""
    if not isinstance(name, str):
        return name
    if name == AUTO:
        processes = ProcessesExecutor()
        return processes if processes.pays(worker, units) else LocalExecutor()
    spec: ExecutorSpec = EXECUTORS.options(name)
    return spec
