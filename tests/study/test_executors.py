"""Executors: the same bytes whoever works; what a fork leaves undone is done here; no fork is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from puretune.errors import InputError
from puretune.events import Advanced, Event, ignore
from puretune.store import Store
from puretune.study import Plan, Study, plan_study, run_study
from puretune.study.run import processes_executor as _processes
from puretune.study.run.executors import executor_named
from puretune.study.run.units import pending
from puretune.study.run.worker import Worker
from tests.study.studies import STUDY, small_study

linux = pytest.mark.skipif(sys.platform != "linux", reason="forks are used on Linux only")


def study_at(directory: Path, model: Path, **changes: Any) -> Study:
    """Four adapters in two gangs, ten pools."""
    tuning = {**STUDY["tuning"], "tuner": "gang"}
    return Study.load(small_study(directory, model, **{"tuning": tuning, **changes}))


def objects(out: Path) -> dict[str, bytes]:
    """Everything in the store of a run but the manifests, which say how long it took."""
    store = out / "store"
    files = (path for path in store.rglob("*") if path.is_file() and not path.name.endswith("manifest.json"))
    return {str(path.relative_to(store)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, model: Path) -> tuple[Path, Any]:
    """The study, run in one process."""
    directory = tmp_path_factory.mktemp("local")
    return directory, run_study(study_at(directory, model), directory / "run", executor="local")


class Workers:
    """Which process did which unit, as the processes themselves wrote it down."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch, fails: bool = False) -> None:
        self.directory, self.here = directory, os.getpid()
        directory.mkdir()
        perform = _processes.perform

        def noted(unit: Any, worker: Worker, on_event: Any) -> None:
            if fails and os.getpid() != self.here:
                print("half a line")
                raise RuntimeError("broken")
            if os.getpid() == self.here and unit.work == "answer":
                self.wait_for_fork()
            perform(unit, worker, on_event)
            (directory / f"{unit.work} {os.getpid()} {time.monotonic()}").touch()

        self._wait = not fails
        monkeypatch.setattr(_processes, "perform", noted)

    def wait_for_fork(self) -> None:
        """The fork may be slow on a busy machine: this process leaves it time for one pool."""
        until = time.monotonic() + 60
        while self._wait and "answer" not in self.of_forks() and time.monotonic() < until:
            time.sleep(0.01)

    def of_forks(self) -> list[str]:
        """The work that was done elsewhere."""
        done = [path.name.split() for path in self.directory.iterdir()]
        return [work for work, process, _ in done if int(process) != self.here]


@linux
def test_forks_make_the_bytes_of_one_process(
    tmp_path: Path, model: Path, local: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = Workers(tmp_path / "who", monkeypatch)
    matrix = run_study(study_at(local[0], model), tmp_path / "run", executor="processes")
    assert "answer" in workers.of_forks()
    assert "score" not in workers.of_forks()
    assert matrix.cells == local[1].cells
    assert objects(tmp_path / "run") == objects(local[0] / "run")


@linux
def test_an_error_in_a_fork_is_silent_and_its_unit_is_done_here(
    tmp_path: Path,
    model: Path,
    local: tuple[Path, Any],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    workers = Workers(tmp_path / "who", monkeypatch, fails=True)
    run_study(study_at(local[0], model), tmp_path / "run", executor="processes")
    assert capfd.readouterr() == ("", "")
    assert not workers.of_forks()
    assert objects(tmp_path / "run") == objects(local[0] / "run")


@linux
def test_an_error_that_is_everybodys_is_raised(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(unit: Any, worker: Worker, on_event: Any) -> None:
        raise InputError(f"no {unit.work} today.")

    monkeypatch.setattr(_processes, "perform", fails)
    with pytest.raises(InputError, match="no tune today"):
        run_study(study_at(tmp_path, model), tmp_path / "run", executor="processes")


# One interpreter loads the libraries; a fork of it is killed where the events have come so far.
_KILLED = """
import os, signal, sys
from pathlib import Path
import torch, transformers.models.llama.modeling_llama
from puretune.events import Advanced
from puretune.store import Store
from puretune.study import Plan, Study, plan_study, run_study
study, out = sys.argv[1:3]
for point in sys.argv[3:]:
    executor, work, at = point.split("@")
    def sink(event):
        if isinstance(event, Advanced) and event.work.startswith(work) and event.done >= int(at):
            os.kill(os.getpid(), signal.SIGKILL)
    child = os.fork()
    if child == 0:
        run_study(Study.load(study), Path(out), sink, executor=executor)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@linux
def test_a_killed_run_is_resumed_by_the_other_executor(tmp_path: Path, local: tuple[Path, Any]) -> None:
    points = ("processes@tune@2", "local@tune@3", "processes@answer@9", "local@answer@5", "processes@score@3")
    command = [sys.executable, "-c", _KILLED, str(local[0] / "study.yaml"), str(tmp_path / "run"), *points]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    assert done.stdout.split() == [str(-signal.SIGKILL)] * len(points)
    matrix = run_study(Study.load(local[0] / "study.yaml"), tmp_path / "run", executor="processes")
    assert matrix.cells == local[1].cells
    assert objects(tmp_path / "run") == objects(local[0] / "run")


def run_two(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: Path, sink: Any) -> None:
    """Units that do nothing here, once a fork has taken one; there they never end, and write down whose."""
    here, pid = os.getpid(), tmp_path / "pid"

    def endless(unit: Any, worker: Worker, on_event: Any) -> None:
        if os.getpid() != here:
            pid.write_text(str(os.getpid()))
            on_event(Advanced("tune", 1))
            time.sleep(600)
        until = time.monotonic() + 60
        while not pid.exists() and time.monotonic() < until:
            time.sleep(0.01)

    monkeypatch.setattr(_processes, "perform", endless)
    plan = _plan(tmp_path, model)
    worker = Worker(plan, _store(tmp_path), tmp_path / "scratch", sink, lambda notice: None)
    _processes.ProcessesExecutor().open(worker)(pending(plan, worker.store))


def _plan(tmp_path: Path, model: Path) -> Plan:
    return plan_study(study_at(tmp_path, model))


def _store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@linux
def test_a_fork_that_hangs_is_ended(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_processes, "_GRACE", 1.0)
    monkeypatch.setattr(_processes, "_PATIENCE", 0.0)
    run_two(monkeypatch, tmp_path, model, ignore)
    assert not Path("/proc", (tmp_path / "pid").read_text()).exists()


@linux
def test_an_error_of_whoever_watches_is_raised_and_ends_the_fork(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def watch(event: Event) -> None:
        if isinstance(event, Advanced):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_two(monkeypatch, tmp_path, model, watch)
    assert not Path("/proc", (tmp_path / "pid").read_text()).exists()


_ORPHAN = """
import os, signal, sys, time
from pathlib import Path
from types import SimpleNamespace
from puretune.study.run import processes_executor as _processes

def perform(unit, worker, on_event):
    Path(sys.argv[1]).write_text(str(os.getpid()))
    time.sleep(600)

_processes.perform = perform
fork = _processes._Fork(["unit"], SimpleNamespace())
fork._pipe.send(0)
while not Path(sys.argv[1]).exists():
    time.sleep(0.01)
time.sleep(0.1)
os.kill(os.getpid(), signal.SIGKILL)
"""


@linux
def test_a_fork_dies_with_its_parent(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", _ORPHAN, str(tmp_path / "pid")], check=False)
    assert ended.returncode == -signal.SIGKILL
    other = Path("/proc", (tmp_path / "pid").read_text(), "status")
    for _ in range(500):
        if not other.exists() or "Z (zombie)" in other.read_text():
            return
        time.sleep(0.01)
    pytest.fail("the fork goes on")


def test_an_unknown_executor_is_named(tmp_path: Path, model: Path) -> None:
    with pytest.raises(InputError, match=r"executor 'locall'.*'local'"):
        run_study(study_at(tmp_path, model), tmp_path / "run", executor="locall")


def test_auto_forks_for_small_models_with_enough_to_do(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = _plan(tmp_path, model)
    worker = Worker(plan, _store(tmp_path), tmp_path / "scratch", print, lambda notice: None)
    units = pending(plan, worker.store)
    monkeypatch.setattr(os, "sched_getaffinity", lambda who: {0, 1}, raising=False)
    expected = "processes" if sys.platform == "linux" else "local"
    assert executor_named("auto", worker, units).name == expected
    assert executor_named("auto", worker, units[1:3]).name == "local"
    monkeypatch.setattr(_processes, "is_small", lambda model: False)
    assert executor_named("auto", worker, units).name == "local"


def test_an_executor_says_what_it_is() -> None:
    assert _processes.ProcessesExecutor(3).identity() == {"name": "processes", "workers": 3}
    with pytest.raises(InputError, match="workers: 0 is out of range"):
        _processes.ProcessesExecutor(0)
