"""Several processes: the shipped configurations, and a real launch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from puretune.errors import EnvironmentFault, InputError
from puretune.events import Advanced
from puretune.models import read_manifest
from puretune.tuning.trainer._launch import listen
from tests.tuning.tasks import last, task
from tests.tuning.test_losses import made
from tests.tuning.trainer.training import apart, train

CONFIGS = Path(__file__).parents[3] / "configs" / "accelerate"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_accelerate_reads_every_shipped_configuration(path: Path) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(path))
    assert config.num_processes > 1
    kind = {"fsdp2": "FSDP", "cpu": "MULTI_CPU", "ddp": "MULTI_GPU"}.get(path.stem, "DEEPSPEED")
    assert config.distributed_type == kind


def test_two_processes_make_the_adapter_of_one(llama: Any, tmp_path: Path) -> None:
    recipe = {"dropout": 0.0, "accumulation": 2, "steps": 4, "keep": (2,)}
    alone = last(llama, task(tmp_path / "alone", **recipe))
    done: list[int] = []
    shared = train(
        llama,
        task(tmp_path / "shared", **recipe),
        launch=str(CONFIGS / "cpu.yaml"),
        on_event=lambda event: done.append(event.done) if isinstance(event, Advanced) else None,
    )
    assert [step for _, step, _ in shared] == [2, 4]
    assert done == [1, 2, 3, 4]
    assert apart(alone, shared[-1][2]) < 1e-4
    losses = [found.loss for ref in (alone, shared[-1][2]) if (found := read_manifest(ref.path))]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert sorted(path.name for path in (tmp_path / "shared").iterdir()) == ["step-2", "step-4"]


def test_two_processes_have_the_losses_and_the_average_of_one(llama: Any, tmp_path: Path) -> None:
    recipe = {"dropout": 0.0, "accumulation": 2, "steps": 3, "ema": 0.5}
    alone = last(llama, made(tmp_path / "alone", "all", **recipe))
    launch = str(CONFIGS / "cpu.yaml")
    ((_, _, shared),) = train(llama, made(tmp_path / "shared", "all", **recipe), launch=launch)
    assert apart(alone, shared) < 1e-4


def test_processes_that_fail_are_quoted() -> None:
    with pytest.raises(EnvironmentFault, match=r"the processes failed \(3\):\nno such kernel"):
        listen([sys.executable, "-c", "print('no such kernel'); raise SystemExit(3)"], lambda said: None)


def test_what_processes_say_is_passed_on() -> None:
    code = "print('noise'); print('puretune-worker {\"step\": 3}')"
    heard: list[dict[str, Any]] = []
    listen([sys.executable, "-c", code], heard.append)
    assert heard == [{"step": 3}]


def test_steps_that_do_not_share_out_are_refused(llama: Any, tmp_path: Path) -> None:
    made = task(tmp_path, batch_size=3)
    with pytest.raises(InputError, match="2 processes cannot share the 3 rows of a step evenly"):
        train(llama, made, launch=str(CONFIGS / "cpu.yaml"))
