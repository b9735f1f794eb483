"""An interrupted gang goes on as the same gang, to the same bytes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from puretune.errors import InputError
from puretune.events import Advanced, Event, Started, Warned
from puretune.tuning.gang import GangTuner
from tests.tuning.gang.gangs import digests, gang, varied
from tests.tuning.test_resume import DAMAGES, damages

MORE: dict[str, Any] = {"steps": 8, "keep": (3,), "checkpoint_every": 2}


class Interrupted(Exception):
    """Stands for Ctrl-C."""


def interrupt(base: Any, tasks: Any, step: int) -> None:
    def sink(event: Event) -> None:
        if isinstance(event, Advanced) and event.done == step:
            raise Interrupted

    with pytest.raises(Interrupted):
        list(GangTuner(base).tune(tasks, sink))


def steps(base: Any, tasks: Any) -> list[int]:
    events: list[Event] = []
    list(GangTuner(base).tune(tasks, events.append))
    return [event.done for event in events if isinstance(event, Advanced)]


@pytest.mark.parametrize("step", [1, 4, 7])
def test_an_interrupted_gang_goes_on_to_the_same_bytes(step: int, llama: Any, tmp_path: Path) -> None:
    whole = gang(llama, varied(tmp_path / "whole", **MORE))
    cut = varied(tmp_path / "cut", **MORE)
    interrupt(llama, cut, step)
    assert digests(gang(llama, cut)) == digests(whole)
    assert all(sorted(p.name for p in one.out.iterdir()) == ["step-3", "step-8"] for one in cut)


def test_a_resumed_gang_skips_what_is_done(llama: Any, tmp_path: Path) -> None:
    cut = varied(tmp_path, **MORE)
    interrupt(llama, cut, 5)
    assert steps(llama, cut) == [5, 6, 7, 8]


def test_a_gang_that_died_while_publishing_is_formed_again(
    llama: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from puretune.tuning.gang import _tuner

    whole = gang(llama, varied(tmp_path / "whole", **MORE))
    cut = varied(tmp_path / "cut", **MORE)
    publish = _tuner.publish

    def dying(job: Any, base: Any, lora: Any, step: int, loss: float) -> Any:
        if step == 8 and job.task.seed == 1:
            raise Interrupted
        return publish(job, base, lora, step, loss)

    monkeypatch.setattr(_tuner, "publish", dying)
    with pytest.raises(Interrupted):
        gang(llama, cut)
    monkeypatch.undo()
    assert (cut[0].out / "step-8").is_dir()
    assert not (cut[2].out / "step-8").is_dir()
    assert digests(gang(llama, cut)) == digests(whole)


def test_a_finished_gang_computes_nothing(llama: Any, tmp_path: Path) -> None:
    first = gang(llama, varied(tmp_path, **MORE))
    assert steps(llama, varied(tmp_path, **MORE)) == []
    assert gang(llama, varied(tmp_path, **MORE)) == first


def test_only_what_is_missing_is_trained(llama: Any, tmp_path: Path) -> None:
    gang(llama, varied(tmp_path, **MORE)[:2])
    events: list[Event] = []
    list(GangTuner(llama).tune(varied(tmp_path, **MORE), events.append))
    assert [event.work for event in events if isinstance(event, Started)] == ["tune chat:mpt 2"]


def test_a_removed_step_is_made_again(llama: Any, tmp_path: Path) -> None:
    made = varied(tmp_path, **MORE)[:1]
    first = gang(llama, made)
    shutil.rmtree(made[0].out / "step-3")
    assert steps(llama, made) == [1, 2, 3]
    assert digests(gang(llama, made)) == digests(first)


def test_the_state_of_another_gang_is_not_gone_on_from(llama: Any, tmp_path: Path) -> None:
    cut = varied(tmp_path, **MORE)
    interrupt(llama, cut, 5)
    assert steps(llama, cut[:2]) == list(range(1, 9))


def test_the_state_of_another_training_is_an_error(llama: Any, tmp_path: Path) -> None:
    more = {**MORE, "keep": ()}
    interrupt(llama, varied(tmp_path, **more), 5)
    with pytest.raises(InputError, match="unfinished training with other rows, recipe, seed or base"):
        gang(llama, varied(tmp_path, **{**more, "learning_rate": 1e-3}))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state_is_set_aside_and_the_gang_begins_anew(
    damage: str, llama: Any, tmp_path: Path
) -> None:
    more = {**MORE, "steps": 4, "keep": ()}
    whole = gang(llama, varied(tmp_path / "whole", **more))
    cut = varied(tmp_path / "cut", **more)
    interrupt(llama, cut, 3)
    file = cut[0].out / "resume" / "gang.safetensors"
    before = file.read_bytes()
    file.write_bytes(damages(before)[damage])
    assert file.read_bytes() != before
    events: list[Event] = []
    found = GangTuner(llama).tune(cut, events.append)
    assert {(one.name, step): ref.digest for one, step, ref in found} == digests(whole)
    assert len([event for event in events if isinstance(event, Warned)]) == 1
    assert (file.parent / "damaged-1.gang.safetensors").is_file()


def test_resume_points_of_a_gang_come_by_time_too(
    llama: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from puretune.tuning.gang import _tuner

    clock, saved = [0.0], list[int]()
    monkeypatch.setattr("puretune.tuning._resume_points.time.monotonic", lambda: clock[0])
    monkeypatch.setattr(_tuner, "save_state", lambda jobs, stack, limits: saved.append(stack.done))

    def tick(event: Event) -> None:
        if isinstance(event, Advanced):
            clock[0] += 60

    made = varied(tmp_path, steps=6, checkpoint_every=50, checkpoint_minutes=2)
    list(GangTuner(llama).tune(made, tick))
    assert saved == [3, 5]


_TRAIN = """
import sys, time
from pathlib import Path
from puretune.events import Advanced
from puretune.tuning.gang import GangTuner
from tests.tiny import tiny_base
from tests.tuning.gang.gangs import varied

def say(event):
    if isinstance(event, Advanced) and event.done == 5:
        print("five", flush=True)
        time.sleep(600)

tasks = varied(Path(sys.argv[2]), steps=8, keep=(3,), checkpoint_every=2)
list(GangTuner(tiny_base(Path(sys.argv[1]))).tune(tasks, say))
"""


def test_a_killed_gang_goes_on_to_the_same_bytes(llama: Any, llama_path: Path, tmp_path: Path) -> None:
    whole, cut = varied(tmp_path / "whole", **MORE), varied(tmp_path / "cut", **MORE)
    paths = [str(Path(__file__).parents[3]), *sys.path]
    with subprocess.Popen(
        [sys.executable, "-c", _TRAIN, str(llama_path), str(tmp_path / "cut")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "five\n"
        process.send_signal(signal.SIGKILL)
    assert steps(llama, cut) == [5, 6, 7, 8]
    assert digests(gang(llama, cut)) == digests(gang(llama, whole))
