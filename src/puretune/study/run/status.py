"""How far a run is, from the log in its directory: nothing of the run itself is asked, or disturbed."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from puretune.errors import InputError
from puretune.files import read_mapping
from puretune.store import is_alive
from puretune.study.run.run_log import LOG
from puretune.visible import visible


@dataclass
class WorkStatus:
    """One kind of work in the latest run."""

    total: int = 0
    done: int = 0
    failed: int = 0
    """Units given up by a worker; they were, or will be, done by another one."""
    running: int = 0
    seconds: float = 0.0
    """Spent on the units that are done, all workers together."""
    progress: tuple[int, int | None] | None = None
    """Answers or steps: done, and of how many."""


@dataclass
class WorkerStatus:
    """One worker in the latest run."""

    done: int = 0
    failed: int = 0
    at: str = ""
    """The work that it is at; empty if none."""
    seconds: float = 0.0
    """Spent on the units that are done."""


@dataclass
class RunStatus:
    """The latest run in a directory."""

    state: str
    """``running``, ``finished``, ``failed`` or ``killed``."""
    plan: str
    began: str
    last: str
    """When the log was last written (UTC, ISO 8601)."""
    error: str = ""
    works: dict[str, WorkStatus] = field(default_factory=dict)
    workers: dict[str, WorkerStatus] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """From the run's first line to its last, or to now while it runs."""
        end = datetime.now(UTC) if self.state == "running" else datetime.fromisoformat(self.last)
        return max(0.0, (end - datetime.fromisoformat(self.began)).total_seconds())

    @property
    def seconds_left(self) -> float | None:
        """What is left at the mean time of each kind of unit, shared by the workers that are busy; None while
        a kind of work that is left has no finished unit yet."""
        left = 0.0
        for work in self.works.values():
            if work.total > work.done:
                if not work.done:
                    return None
                left += (work.total - work.done) * work.seconds / work.done
        return left / max(1, sum(bool(one.at) for one in self.workers.values()))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "seconds": self.seconds, "seconds_left": self.seconds_left}


def run_status(directory: Path) -> RunStatus:
    """The status of the latest run in ``directory``; InputError if it has no log."""
    path = directory / LOG
    if not path.is_file():
        raise InputError(
            f"{visible(directory)} has no {LOG}. Name a directory that `puretune run` works or has worked in."
        )
    status = RunStatus("", "", "", "")
    at: dict[tuple[str, int], str] = {}
    for line in _lines(path):
        if line["event"] == "run":
            status, at = RunStatus("", str(line.get("plan")), line["time"], line["time"]), {}
        status.last = line["time"]
        _read(status, line, at)
    for (worker, _), work in at.items():
        status.workers[worker].at = work
    for work, running in Counter(at.values()).items():
        _work(status, work).running = running
    status.state = status.state or ("running" if _is_held(directory) else "killed")
    return status


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The log's lines; one that a crash of the machine cut short is left out."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for text in file:
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if isinstance(line, dict) and {"event", "time"} <= line.keys():
                yield line


def _read(status: RunStatus, line: Mapping[str, Any], at: dict[tuple[str, int], str]) -> None:
    event = line["event"]
    if event == "queued":
        for work, total in line["units"].items():
            _work(status, work).total = total
    elif event in ("began", "ended", "failed"):
        _unit(status, line, at)
    elif event == "progress":
        _work(status, line["work"]).progress = (line["done"], line["total"])
    elif event == "finished":
        _finish(status, str(line["work"]))
    elif event == "warned":
        status.warnings.append(str(line["text"]))
    elif event == "over":
        status.error = str(line["error"])
        status.state = "failed" if status.error else "finished"


def _finish(status: RunStatus, name: str) -> None:
    """Work that is part of a unit (one adapter of a gang) is of interest while it is under way."""
    work = _work(status, name)
    work.progress = None
    if not work.total:
        del status.works[name]


def _unit(status: RunStatus, line: Mapping[str, Any], at: dict[tuple[str, int], str]) -> None:
    worker = status.workers.setdefault(str(line["worker"]), WorkerStatus())
    place = (str(line["worker"]), int(line["unit"]))
    if line["event"] == "began":
        at[place] = str(line["work"])
        return
    at.pop(place, None)
    work = _work(status, line["work"])
    if line["event"] == "failed":
        work.failed, worker.failed = work.failed + 1, worker.failed + 1
        return
    work.done, worker.done = work.done + 1, worker.done + 1
    work.seconds, worker.seconds = work.seconds + line["seconds"], worker.seconds + line["seconds"]


def _work(status: RunStatus, name: Any) -> WorkStatus:
    return status.works.setdefault(str(name), WorkStatus())


def _is_held(directory: Path) -> bool:
    """Whether a process has the directory: on another machine nobody here can tell, and its note counts."""
    holder = directory / ".lock-holder.json"
    if not holder.is_file():
        return False
    noted = read_mapping(holder)
    here = noted.get("host") == socket.gethostname()
    return not here or (isinstance(noted.get("pid"), int) and is_alive(noted["pid"]))
