"""Interrupted training: nothing is lost, nothing is made twice, nothing comes out different."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from puretune.errors import EnvironmentFault, InputError
from puretune.events import Advanced, Event, Started, Warned
from puretune.store import temporary_name
from puretune.tuning import LoopTuner
from tests.tiny import tiny_base
from tests.tuning.tasks import last, limit_memory, task, tune
from tests.tuning.test_loop import close


class Interrupted(Exception):
    """Stands for Ctrl-C."""


def interrupted_at(step: int) -> Any:
    def sink(event: Event) -> None:
        if isinstance(event, Advanced) and event.done == step:
            raise Interrupted

    return sink


def started(base: Any, made: Any) -> list[Event]:
    events: list[Event] = []
    list(LoopTuner(base).tune([made], events.append))
    return events


@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_an_interrupted_training_goes_on_to_the_same_bytes(step: int, llama: Any, tmp_path: Path) -> None:
    whole = tune(llama, task(tmp_path / "whole", keep=(3,)))
    cut = task(tmp_path / "cut", keep=(3,), checkpoint_every=2)
    with pytest.raises(Interrupted):
        list(LoopTuner(llama).tune([cut], interrupted_at(step)))
    again = tune(llama, cut)
    assert [ref.digest for _, _, ref in again] == [ref.digest for _, _, ref in whole]
    assert sorted(path.name for path in cut.out.iterdir()) == ["step-3", "step-6"]


def test_a_resumed_training_skips_what_is_done(llama: Any, tmp_path: Path) -> None:
    cut = task(tmp_path, checkpoint_every=2)
    with pytest.raises(Interrupted):
        list(LoopTuner(llama).tune([cut], interrupted_at(5)))
    done = [event.done for event in started(llama, cut) if isinstance(event, Advanced)]
    assert done == [5, 6]


def test_a_finished_condition_computes_nothing(llama: Any, tmp_path: Path) -> None:
    first = tune(llama, task(tmp_path, keep=(2,)))
    events: list[Event] = []
    again = list(LoopTuner(llama).tune([task(tmp_path, keep=(2,))], events.append))
    assert again == first
    assert events == []


def test_a_step_kept_later_is_trained_up_to_and_no_further(llama: Any, tmp_path: Path) -> None:
    tune(llama, task(tmp_path))
    events = started(llama, task(tmp_path, keep=(2,)))
    assert events[0] == Started("tune CV", 2)
    fresh = tune(llama, task(tmp_path / "fresh", keep=(2,)))
    assert [ref.digest for _, _, ref in tune(llama, task(tmp_path, keep=(2,)))] == [
        ref.digest for _, _, ref in fresh
    ]


def test_a_kept_step_that_was_removed_is_made_again(llama: Any, tmp_path: Path) -> None:
    import shutil

    first = tune(llama, task(tmp_path, keep=(2,)))
    shutil.rmtree(tmp_path / "step-2")
    again = tune(llama, task(tmp_path, keep=(2,)))
    assert {ref.digest for _, _, ref in again} == {ref.digest for _, _, ref in first}


def test_out_of_memory_fewer_rows_go_through_at_once_and_the_adapter_is_the_same(
    llama: Any, llama_path: Path, tmp_path: Path
) -> None:
    whole = last(llama, task(tmp_path / "whole", batch_size=6, steps=3))
    small = tiny_base(llama_path)
    limit_memory(small.model, rows=2)
    events: list[Event] = []
    made = task(tmp_path / "pieces", batch_size=6, steps=3)
    ((_, _, pieces),) = LoopTuner(small).tune([made], events.append)
    notes = [e.note for e in events if isinstance(e, Advanced) and "out of memory" in e.note]
    assert notes == [f"out of memory: continuing with {rows} rows at a time" for rows in (3, 2)]
    assert close(whole, pieces)


def test_without_memory_for_one_row_it_says_what_would_help(llama_path: Path, tmp_path: Path) -> None:
    small = tiny_base(llama_path)
    limit_memory(small.model, rows=0)
    with pytest.raises(EnvironmentFault, match=r"out of memory with one row.*max_length"):
        tune(small, task(tmp_path))


_TRAIN = """
import sys, time
from pathlib import Path
from types import SimpleNamespace
from puretune.events import Advanced
from puretune.tuning import LoopTuner
from tests.tiny import tiny_base
from tests.tuning.tasks import task

def say(event):
    if isinstance(event, Advanced) and event.done == 7:
        print("seven", flush=True)
        time.sleep(600)

made = task(Path(sys.argv[2]), steps=12, keep=(3,), checkpoint_every=2)
list(LoopTuner(tiny_base(Path(sys.argv[1]))).tune([made], say))
"""


def test_a_killed_training_goes_on_to_the_same_bytes(llama: Any, llama_path: Path, tmp_path: Path) -> None:
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
    events = started(llama, cut)
    assert [event.done for event in events if isinstance(event, Advanced)] == [7, 8, 9, 10, 11, 12]
    assert [ref.digest for _, _, ref in tune(llama, cut)] == [ref.digest for _, _, ref in tune(llama, whole)]


def damages(content: bytes) -> dict[str, bytes]:
    """A safetensors file with one thing wrong."""
    size = 8 + int.from_bytes(content[:8], "little")
    flipped = bytearray(content)
    flipped[-1] ^= 1
    step = re.sub(rb'(step\\\\*":)[0-9]', rb"\g<1>1", content)
    return {
        "half": content[: len(content) // 2],
        "flipped bit": bytes(flipped),
        "other step": step,
        "no metadata": content.replace(b"__metadata__", b"__metadatb__"),
        "deep header": (200_000).to_bytes(8, "little") + b"[" * 200_000,
        "empty": b"",
        "header only": content[:size],
    }


DAMAGES = ["half", "flipped bit", "other step", "no metadata", "deep header", "empty", "header only"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_resume_point_is_set_aside_and_the_training_begins_anew(
    damage: str, llama: Any, tmp_path: Path
) -> None:
    whole = last(llama, task(tmp_path / "whole"))
    cut = task(tmp_path / "cut", checkpoint_every=2)
    with pytest.raises(Interrupted):
        list(LoopTuner(llama).tune([cut], interrupted_at(3)))
    file = cut.out / "resume" / "state.safetensors"
    before = file.read_bytes()
    file.write_bytes(damages(before)[damage])
    assert file.read_bytes() != before
    events: list[Event] = []
    ((_, _, ref),) = LoopTuner(llama).tune([cut], events.append)
    assert ref.digest == whole.digest
    (warning,) = [event.text for event in events if isinstance(event, Warned)]
    assert "state.safetensors was damaged" in warning
    assert (file.parent / "damaged-1.state.safetensors").is_file()


def test_a_damaged_adapter_that_was_kept_is_made_again(llama: Any, tmp_path: Path) -> None:
    first = tune(llama, task(tmp_path, keep=(2,)))
    weights = tmp_path / "step-2" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    events: list[Event] = []
    again = list(LoopTuner(llama).tune([task(tmp_path, keep=(2,))], events.append))
    assert {ref.digest for _, _, ref in again} == {ref.digest for _, _, ref in first}
    (warning,) = [event.text for event in events if isinstance(event, Warned)]
    assert warning.startswith(f"{tmp_path}/step-2 was damaged")
    assert (tmp_path / "damaged-1.step-2").is_dir()


def test_a_disk_without_room_for_what_is_planned_is_said_before_the_first_step(
    llama: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("puretune.tuning._disk_space.shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    first, *_ = started(llama, task(tmp_path, steps=1))
    assert isinstance(first, Warned)
    assert "will be written and 0.00 GB are free" in first.text


def test_resume_points_come_by_time_too(llama: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from puretune.tuning import loop

    clock, saved = [0.0], list[int]()
    monkeypatch.setattr("puretune.tuning._resume_points.time.monotonic", lambda: clock[0])
    monkeypatch.setattr(loop, "save_state", lambda *given: saved.append(given[4]))

    def tick(event: Event) -> None:
        if isinstance(event, Advanced):
            clock[0] += 60

    made = task(tmp_path, steps=6, checkpoint_every=50, checkpoint_minutes=2)
    list(LoopTuner(llama).tune([made], tick))
    assert saved == [3, 5]


def test_an_unfinished_training_of_something_else_is_not_gone_on_from(llama: Any, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        list(LoopTuner(llama).tune([task(tmp_path, checkpoint_every=2)], interrupted_at(3)))
    with pytest.raises(InputError, match="unfinished training with other rows, recipe, seed or base"):
        tune(llama, task(tmp_path, seed=9))


def test_an_adapter_of_something_else_is_not_taken_for_this_one(llama: Any, tmp_path: Path) -> None:
    last(llama, task(tmp_path))
    with pytest.raises(InputError, match="made from other rows, recipe, seed or base"):
        tune(llama, task(tmp_path, seed=9))


def test_a_place_that_cannot_be_written_is_a_fault_before_the_first_step(llama: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EnvironmentFault, match="cannot write"):
        tune(llama, task(tmp_path / "file" / "out"))


def test_what_a_killed_process_left_half_written_is_removed(llama: Any, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as ended:
        pass
    fresh = temporary_name(tmp_path / "step-6")
    fresh.with_name(fresh.name.replace(f"-{os.getpid()}-", f"-{ended.pid}-")).mkdir()
    (tmp_path / ".step-6-mine.tmp").mkdir()
    tune(llama, task(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == [".step-6-mine.tmp", "step-6"]
