"""A second process: what it does counts, what it leaves undone is done here, and it dies with its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from puretune.events import Advanced, EventSink
from puretune.study import Study, run_study
from puretune.study.run import answers as _answers
from puretune.study.run import processes as _beside
from puretune.study.run import work as _work
from tests.study.studies import STUDY, small_study

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a second process is used on Linux only")


def test_its_events_arrive_and_its_files_are_there(tmp_path: Path) -> None:
    seen: list[Any] = []

    def work(sink: EventSink) -> None:
        (tmp_path / "made").write_text(str(os.getpid()))
        sink(Advanced("work", 1, "made"))

    with _beside.beside(work, seen.append):
        pass
    assert seen == [Advanced("work", 1, "made")]
    assert (tmp_path / "made").read_text() != str(os.getpid())


def test_it_goes_on_with_something_else_until_the_block_ends(tmp_path: Path) -> None:
    def items() -> Iterator[None]:
        for number in range(1000):
            (tmp_path / str(number)).touch()
            yield
            time.sleep(0.01)

    with _beside.beside(lambda sink: (tmp_path / "work").touch(), print, items()):
        while not (tmp_path / "3").exists():
            time.sleep(0.01)
    assert (tmp_path / "work").exists()
    assert 4 < len(list(tmp_path.iterdir())) < 1001


def test_what_is_over_already_begins_nothing_else(tmp_path: Path) -> None:
    def work(sink: EventSink) -> None:
        time.sleep(0.2)

    def items() -> Iterator[None]:
        (tmp_path / "item").touch()
        yield

    with _beside.beside(work, print, items()):
        pass
    assert not (tmp_path / "item").exists()


def test_an_error_in_it_ends_it_silently(capfd: pytest.CaptureFixture[str]) -> None:
    def work(sink: EventSink) -> None:
        print("half a line")
        raise RuntimeError("broken")

    with _beside.beside(work, print):
        pass
    assert capfd.readouterr() == ("", "")


def forever(pid: Path) -> Any:
    """Work without end, which writes down whose it is."""

    def work(sink: EventSink) -> None:
        pid.write_text(str(os.getpid()))
        sink(Advanced("work", 1))
        time.sleep(600)

    return work


def test_it_is_ended_where_the_block_raises(tmp_path: Path) -> None:
    seen: list[Any] = []

    def interrupted() -> None:
        with _beside.beside(forever(tmp_path / "pid"), seen.append):
            while not seen:
                time.sleep(0.01)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not Path("/proc", (tmp_path / "pid").read_text()).exists()


def test_one_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_beside, "_GRACE", 0.0)
    seen: list[Any] = []
    with _beside.beside(forever(tmp_path / "pid"), seen.append):
        while not seen:
            time.sleep(0.01)
    assert not Path("/proc", (tmp_path / "pid").read_text()).exists()


def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    code = f"""
import os, signal, time
from pathlib import Path
from puretune.study.run.processes import beside

def work(sink):
    Path({str(tmp_path / "pid")!r}).write_text(str(os.getpid()))
    time.sleep(600)

with beside(work, print):
    while not Path({str(tmp_path / "pid")!r}).exists():
        time.sleep(0.01)
    time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", code], check=False)
    assert ended.returncode == -signal.SIGKILL
    other = Path("/proc", (tmp_path / "pid").read_text(), "status")
    for _ in range(500):
        if not other.exists() or "Z (zombie)" in other.read_text():
            return
        time.sleep(0.01)
    pytest.fail("the second process goes on")


@pytest.mark.parametrize("broken", [False, True])
def test_two_processes_make_the_matrix_of_one(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, broken: bool
) -> None:
    tuning = {**STUDY["tuning"], "tuner": "gang"}
    study = Study.load(small_study(tmp_path, model, tuning=tuning))
    monkeypatch.setattr(_work, "has_room", lambda base: False)
    alone = run_study(study, tmp_path / "alone")
    here, used = os.getpid(), list[str]()

    def two(work: Any, on_event: EventSink, meanwhile: Any = ()) -> Any:
        used.append("two")

        def fails(sink: EventSink) -> None:
            assert os.getpid() != here
            raise RuntimeError

        return _beside.beside(fails if broken else work, on_event, meanwhile)

    monkeypatch.setattr(_work, "has_room", lambda base: True)
    monkeypatch.setattr(_work, "beside", two)
    monkeypatch.setattr(_answers, "beside", two)
    assert run_study(study, tmp_path / "two").cells == alone.cells
    assert used == ["two", "two"]


def test_it_answers_for_the_untuned_model_while_the_rest_is_tuned(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study.load(small_study(tmp_path, model, tuning={**STUDY["tuning"], "tuner": "gang"}))
    shards = (tmp_path / "run").rglob
    found: list[int] = []

    @contextmanager
    def patient(work: Any, on_event: EventSink, meanwhile: Any = ()) -> Iterator[None]:
        with _beside.beside(work, on_event, meanwhile):
            yield
            until = time.monotonic() + 60
            while (made := len(list(shards("answers/*/*/manifest.json")))) < 2 and time.monotonic() < until:
                time.sleep(0.01)
            found.append(made)

    monkeypatch.setattr(_work, "has_room", lambda base: True)
    monkeypatch.setattr(_work, "beside", patient)
    matrix = run_study(study, tmp_path / "run")
    assert found == [2]
    assert {cell.condition for cell in matrix.cells} == {"untuned", "chat:vanilla", "chat:llama"}
