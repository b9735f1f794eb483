"""What an interrupted gang needs to go on: one file, with its first member, of all weights and moments.

It names its members, so that a resume forms the same gang, whoever was finished when the process died.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from puretune.errors import CheckFailed, InputError
from puretune.store import write_bytes
from puretune.tuning._jobs import Job
from puretune.tuning.gang._stack import Stack

_NAME = "gang.safetensors"


def save_state(jobs: Sequence[Job], stack: Stack, limits: Any) -> None:
    """Publishes the state after ``stack.done`` steps, in place of the one before."""
    from safetensors.torch import save

    about = {
        "step": str(stack.done),
        "members": json.dumps([job.inputs for job in jobs]),
        "limits": json.dumps(limits),
    }
    tensors = {"weights": stack.weights, "first": stack.first, "second": stack.second}
    held = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    write_bytes(jobs[0].resume / _NAME, save(held, metadata=about))


def load_state(jobs: Sequence[Job], stack: Stack) -> Any:
    """Puts the saved state of exactly this gang into ``stack``; returns its limits, None where there is none.

    A state that is not before the next step wanted is of no use and left alone.
    """
    about = _about(jobs[0])
    wanted = min(step for job in jobs for step in job.missing)
    if about is None or about["members"] != [job.inputs for job in jobs] or about["step"] >= wanted:
        return None
    for name, tensor in _read(jobs[0].resume / _NAME)[1].items():
        getattr(stack, name).copy_(tensor)
    stack.done = about["step"]
    return about["limits"]


def unfinished_gangs(jobs: Sequence[Job]) -> list[list[Job]]:
    """The gangs that an earlier run left unfinished, where all their members are asked for again.

    InputError where a directory holds the state of another training.
    """
    by_inputs = {job.inputs: job for job in jobs}
    if len(by_inputs) < len(jobs):  # the same training twice: who was whom cannot be told
        return []
    found = []
    for job in jobs:
        about = _about(job)
        if about is None:
            continue
        if job.inputs not in about["members"]:
            raise InputError(
                f"{job.resume} holds an unfinished training with other rows, recipe, seed or base. "
                "Remove it, or choose another output directory."
            )
        members = [by_inputs.get(member) for member in about["members"]]
        present = [member for member in members if member is not None]
        if len(present) == len(members) and any(member.missing for member in present):
            found.append(present)
    return found


def _about(job: Job) -> dict[str, Any] | None:
    file = job.resume / _NAME
    if not file.is_file():
        return None
    about = _read(file, tensors=())[0]
    return {
        "step": int(about["step"]),
        "members": json.loads(about["members"]),
        "limits": json.loads(about["limits"]),
    }


def _read(
    file: Path, tensors: Iterable[str] = ("weights", "first", "second")
) -> tuple[dict[str, str], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt", device="cpu") as content:
            return dict(content.metadata()), {name: content.get_tensor(name) for name in tensors}
    except (OSError, SafetensorError, TypeError) as error:
        raise CheckFailed(
            f"{file} is damaged ({error}). Remove it; the training then starts over."
        ) from error
