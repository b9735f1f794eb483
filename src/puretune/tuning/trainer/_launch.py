"""Training on several processes: accelerate starts them, each runs the same attempt, this one keeps results.

The workers write what is to be kept next to the resume points and say so on their standard output, a line of
JSON each; adapters and manifests are made here.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from puretune.errors import CheckFailed, EnvironmentFault, InputError, PuretuneError
from puretune.events import Advanced, EventSink, Warned
from puretune.models import BaseModel, Dtype, ModelSpec, load_base
from puretune.store import write_bytes, write_text
from puretune.tuning._jobs import Job, initial_lora, prepare
from puretune.tuning._types import TuningTask
from puretune.tuning.trainer._model import Where, aside
from puretune.tuning.trainer._options import TrainerOptions
from puretune.tuning.trainer._run import keeper, train
from puretune.tuning.trainer._steps import check_shares

_MARK = "puretune-worker "
_TAIL = 60
_GUARD = """
import runpy, sys
from puretune.processes import end_with_parent
end_with_parent(int(sys.argv[1]))
del sys.argv[:2]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
_KINDS = {kind.__name__: kind for kind in (CheckFailed, EnvironmentFault, InputError, PuretuneError)}
"""What a worker may end with, by name."""


@dataclass(frozen=True)
class Order:
    """What the workers are to do."""

    spec: ModelSpec
    task: TuningTask
    options: TrainerOptions
    inputs: str
    tuner: str
    rows_at_once: int
    cpu: bool


def train_on_several(
    job: Job, base: BaseModel, options: TrainerOptions, rows_at_once: int, on_event: EventSink
) -> None:
    """One attempt on as many processes as ``options.launch`` says; see ``Attempt``.

    InputError if they cannot share a step; EnvironmentFault, with their last lines, where they fail.
    """
    import torch

    assert options.launch is not None
    command = [*_launcher(options.launch, job), str(_order(job, base, options, rows_at_once))]
    keep, memory = keeper(job, base, options), list[str]()

    def hear(said: dict[str, Any]) -> None:
        if "kept" in said:
            keep(_taken(Path(said["path"])), said["kept"], said["loss"])
        elif "warned" in said:
            on_event(Warned(said["warned"]))
        elif "failed" in said:
            raise _KINDS[said["kind"]](said["failed"])
        elif "memory" in said:
            memory.append(said["memory"])
        else:
            on_event(Advanced(f"tune {job.task.name}", said["step"], said["note"]))

    try:
        with aside(base):
            listen(command, hear)
    except EnvironmentFault as error:
        if memory:
            raise torch.OutOfMemoryError(memory[0]) from error
        raise


def listen(command: list[str], hear: Callable[[dict[str, Any]], None]) -> None:
    """Runs a command and passes on what its workers say. EnvironmentFault if it fails."""
    tail: deque[str] = deque(maxlen=_TAIL)
    with _started(command) as process:
        assert process.stdout is not None
        for line in process.stdout:
            before, mark, content = line.partition(_MARK)
            if mark and not before:
                hear(json.loads(content))
            else:
                tail.append(line.rstrip())
        if code := process.wait():
            raise EnvironmentFault(f"the processes failed ({code}):\n" + "\n".join(tail))


def _launcher(config: Path, job: Job) -> list[str]:
    """accelerate's launcher or, on CPUs (where that one needs MPI), PyTorch's."""
    from accelerate.commands.config.config_args import load_config_from_file

    try:
        read = load_config_from_file(str(config))
        processes = int(read.num_processes)
    except (ValueError, TypeError, AttributeError, OSError) as error:
        raise InputError(f"launch: {config} is not an accelerate configuration: {error}") from error
    check_shares(job.task.recipe, processes)
    if read.use_cpu:
        start = ["torch.distributed.run", "--standalone", f"--nproc_per_node={processes}", "-m"]
    else:
        start = ["accelerate.commands.launch", "--config_file", str(config), "--module"]
    return [*guarded(os.getpid()), *start, "puretune.tuning.trainer"]


def guarded(parent: int) -> list[str]:
    """The start of a command that runs a module (``MODULE ARGUMENTS`` follow) and ends with its parent."""
    return [sys.executable, "-c", _GUARD, str(parent)]


def work(order: Path) -> None:
    """A worker's whole life. It has the base for itself, on the CPU; the trainer places it."""
    import torch
    from accelerate import PartialState
    from pydantic import TypeAdapter

    todo = TypeAdapter(Order).validate_json(order.read_text("utf-8"))
    base = load_base(todo.spec)
    start = initial_lora if todo.options.method != "full" else lambda task, base: None
    job = prepare(todo.task, base, todo.tuner, start=start, inputs=todo.inputs)
    state = PartialState(cpu=todo.cpu)
    sharded = any(os.environ.get(f"ACCELERATE_USE_{kind}") == "true" for kind in ("FSDP", "DEEPSPEED"))
    where = Where(todo.cpu, own=True, sharded=sharded, processes=state.num_processes)

    def keep(weights: dict[str, Any], step: int, loss: float) -> None:
        from safetensors.torch import save

        path = job.resume / f"kept-{step}.safetensors"
        write_bytes(path, save({name: value.cpu().contiguous() for name, value in weights.items()}))
        _say(kept=step, loss=loss, path=str(path))

    def tell(event: Any) -> None:
        if isinstance(event, Advanced):
            _say(step=event.done, note=event.note)
        elif isinstance(event, Warned):
            _say(warned=event.text)

    try:
        train(job, base, todo.options, todo.rows_at_once, where, keep, tell)
    except torch.OutOfMemoryError as error:
        _say(memory=str(error))
        os._exit(1)  # the others wait for this one in a collective; the launcher ends them
    except PuretuneError as error:
        _say(failed=str(error), kind=type(error).__name__)
        os._exit(1)
    state.wait_for_everyone()  # who leaves the group first may abort those that are still in it
    state.destroy_process_group()


def _order(job: Job, base: BaseModel, options: TrainerOptions, rows_at_once: int) -> Path:
    from pydantic import TypeAdapter

    dtype: Dtype = base.dtype_name  # type: ignore[assignment]
    order = Order(
        replace(base.spec, device="cpu", dtype=dtype),
        job.task,
        options,
        job.inputs,
        job.tuner,
        rows_at_once,
        base.device.type == "cpu",
    )
    path = job.resume / "order.json"
    write_text(path, TypeAdapter(Order).dump_json(order).decode())
    return path


@contextmanager
def _started(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """The launcher while the block runs; it and its workers end with the block."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _say(**what: Any) -> None:
    sys.stdout.write(_MARK + json.dumps(what) + "\n")
    sys.stdout.flush()


def _taken(path: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    weights: dict[str, Any] = load_file(path)
    path.unlink()
    return weights
