"""What an interrupted gang needs to resume: one file, with its first member, of all weights and moments.

It names its members, so that a resume forms the same gang, whoever was finished when the process died.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from puretune.errors import InputError
from puretune.events import EventSink
from puretune.tuning._jobs import Job
from puretune.tuning._resume_points import read_state, write_state
from puretune.tuning.gang._stack import Stack

_NAME = "gang.safetensors"


def save_state(jobs: Sequence[Job], stack: Stack, limits: Any) -> None:
    """Publishes the state after ``stack.done`` steps, in place of the one before."""
    facts = {"step": stack.done, "members": [job.inputs for job in jobs], "limits": limits}
    tensors = {"weights": stack.weights, "first": stack.first, "second": stack.second}
    if stack.average is not None:
        tensors["average"] = stack.average
    write_state(jobs[0].resume / _NAME, tensors, facts)


def load_state(jobs: Sequence[Job], stack: Stack, on_event: EventSink) -> Any:
    """Puts the saved state of exactly this gang into ``stack``; returns its limits, None if there is none.

    A state that is not before the next step wanted is of no use and left alone.
    """
    read = read_state(jobs[0].resume / _NAME, on_event)
    if read is None:
        return None
    facts, tensors = read
    wanted = min(step for job in jobs for step in job.missing)
    if facts["members"] != [job.inputs for job in jobs] or facts["step"] >= wanted:
        return None
    for name, tensor in tensors.items():
        getattr(stack, name).copy_(tensor)
    stack.done = facts["step"]
    return facts["limits"]


def unfinished_gangs(jobs: Sequence[Job], on_event: EventSink) -> list[list[Job]]:
    """The gangs that an earlier run left unfinished, where all their members are asked for again.

    A damaged state is set aside. InputError if a directory holds the state of another training.
    """
    by_inputs = {job.inputs: job for job in jobs}
    if len(by_inputs) < len(jobs):  # the same training twice: who was whom cannot be told
        return []
    found = []
    for job in jobs:
        read = read_state(job.resume / _NAME, on_event)
        if read is None:
            continue
        names = read[0]["members"]
        if job.inputs not in names:
            raise InputError(
                f"{job.resume} holds an unfinished training with other rows, recipe, seed or base. "
                "Remove it, or choose another output directory."
            )
        members = [by_inputs.get(name) for name in names]
        present = [member for member in members if member is not None]
        if len(present) == len(members) and any(member.missing for member in present):
            found.append(present)
    return found
