"""Killed, out of memory, out of disk: training goes on or says what is missing; nothing is left half-made."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from puretune.errors import EnvironmentFault, InputError
from puretune.events import Advanced, Event, Warned
from puretune.tuning import LoopTuner
from tests.tuning.tasks import last, limit_memory, task
from tests.tuning.trainer.training import apart, train, trained

_TRAIN = """
import sys, time
from pathlib import Path
from puretune.events import Advanced
from tests.tiny import tiny_base
from tests.tuning.tasks import task
from tests.tuning.trainer.training import train

def say(event):
    if isinstance(event, Advanced) and event.done == 7:
        print("seven", flush=True)
        time.sleep(600)

made = task(Path(sys.argv[2]), steps=12, keep=(3,), checkpoint_every=2)
train(tiny_base(Path(sys.argv[1])), made, on_event=say)
"""


def test_a_killed_training_goes_on_to_the_same_adapter(llama: Any, llama_path: Path, tmp_path: Path) -> None:
    cut, whole = (task(tmp_path / name, steps=12, keep=(3,), checkpoint_every=2) for name in ("cut", "whole"))
    with subprocess.Popen(
        [sys.executable, "-c", _TRAIN, str(llama_path), str(cut.out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "seven\n"
        process.send_signal(signal.SIGKILL)
    assert sorted(path.name for path in cut.out.iterdir()) == ["resume", "step-3"]
    (cut.out / "resume" / "checkpoint-8").mkdir()  # as if killed while it was written
    done: list[int] = []
    again = train(llama, cut, on_event=lambda e: done.append(e.done) if isinstance(e, Advanced) else None)
    assert done == [7, 8, 9, 10, 11, 12]
    assert [ref.digest for _, _, ref in again] == [ref.digest for _, _, ref in train(llama, whole)]
    assert sorted(path.name for path in cut.out.iterdir()) == ["step-12", "step-3"]


class Interrupted(Exception):
    """Stands for Ctrl-C."""


def interrupt(event: Event) -> None:
    if isinstance(event, Advanced) and event.done == 3:
        raise Interrupted


def test_an_unfinished_training_of_something_else_is_not_gone_on_from(llama: Any, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(llama, task(tmp_path, checkpoint_every=2), on_event=interrupt)
    with pytest.raises(InputError, match="unfinished training with other"):
        trained(llama, task(tmp_path, checkpoint_every=2, seed=9))


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Copies of the base that the trainer makes have memory for so many rows."""
    from puretune.tuning.trainer import _model

    def limit(rows: int) -> None:
        load = _model.load_model

        def limited(*arguments: Any) -> Any:
            model = load(*arguments)
            limit_memory(model, rows)
            return model

        monkeypatch.setattr(_model, "load_model", limited)

    return limit


def test_out_of_memory_fewer_rows_go_through_at_once_and_the_step_stays_the_same(
    llama: Any, tmp_path: Path, little_memory: Any
) -> None:
    recipe = {"dropout": 0.0, "batch_size": 6, "accumulation": 1, "steps": 4, "keep": (2,)}
    whole = trained(llama, task(tmp_path / "whole", **recipe))
    little_memory(2)
    events: list[Event] = []
    pieces = train(llama, task(tmp_path / "pieces", **recipe), on_event=events.append)[-1][2]
    notes = [e.note for e in events if isinstance(e, Advanced) and "out of memory" in e.note]
    assert notes == [
        "out of memory: continuing with 3 rows at a time",
        "out of memory: continuing with 2 rows at a time",
    ]
    assert apart(whole, pieces) < 1e-4


def test_without_memory_for_one_row_it_says_what_would_help(
    llama: Any, tmp_path: Path, little_memory: Any
) -> None:
    little_memory(0)
    with pytest.raises(EnvironmentFault, match=r"out of memory with one row.*gradient_checkpointing"):
        trained(llama, task(tmp_path))
    assert not list(tmp_path.glob("*step-*"))


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """The operating system refuses to write more than so many bytes into a file, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("recipe", [{"checkpoint_every": 2}, {"keep": (2,)}], ids=["resume point", "adapter"])
def test_a_full_disk_is_said_and_leaves_nothing_half_written(recipe: Any, llama: Any, tmp_path: Path) -> None:
    made = task(tmp_path, **recipe)
    with files_up_to(2000), pytest.raises(EnvironmentFault, match="cannot write"):
        trained(llama, made)
    assert not list(tmp_path.glob("*step-*"))
    fresh = trained(llama, task(tmp_path / "fresh", **recipe))
    assert apart(trained(llama, made), fresh) == 0.0


def test_the_loop_says_so_too(llama: Any, tmp_path: Path) -> None:
    made = task(tmp_path, keep=(2,))
    with files_up_to(2000), pytest.raises(EnvironmentFault, match="cannot write"):
        list(LoopTuner(llama).tune([made]))
    assert not list(tmp_path.glob("*step-*"))
    last(llama, made)


def test_a_damaged_resume_point_is_set_aside_and_the_one_before_it_taken(llama: Any, tmp_path: Path) -> None:
    cut, whole = (
        task(tmp_path / name, steps=6, checkpoint_every=2, dropout=0.0) for name in ("cut", "whole")
    )

    def stop(event: Event) -> None:
        if isinstance(event, Advanced) and event.done == 5:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(llama, cut, on_event=stop)
    weights = next((cut.out / "resume" / "checkpoint-4").rglob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    events: list[Event] = []
    again = train(llama, cut, on_event=events.append)
    assert [event.done for event in events if isinstance(event, Advanced)] == [3, 4, 5, 6]
    (warning,) = [event.text for event in events if isinstance(event, Warned)]
    assert "checkpoint-4 was damaged" in warning
    assert [ref.digest for _, _, ref in again] == [ref.digest for _, _, ref in train(llama, whole)]


def test_resume_points_come_by_time_too(llama: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, saved = [0.0], list[int]()
    monkeypatch.setattr("puretune.tuning._resume_points.time.monotonic", lambda: clock[0])
    monkeypatch.setattr(
        "puretune.tuning.trainer._callbacks.mark_whole",
        lambda checkpoint, inputs: saved.append(int(checkpoint.name.rpartition("-")[2])),
    )

    def tick(event: Event) -> None:
        if isinstance(event, Advanced):
            clock[0] += 60

    train(llama, task(tmp_path, steps=5, checkpoint_every=50, checkpoint_minutes=2), on_event=tick)
    assert saved == [2, 4, 5]
