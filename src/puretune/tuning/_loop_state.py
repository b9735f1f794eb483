"""What an interrupted training of the reference tuner needs to resume: weights, optimiser state and the step.

Random streams and data order follow from seed and step, so they are not part of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch.nn import Parameter
from torch.optim import Optimizer

from puretune.errors import InputError
from puretune.events import EventSink
from puretune.tuning._average import Average
from puretune.tuning._resume_points import read_state, write_state

_NAME = "state.safetensors"


def save_state(
    directory: Path,
    parameters: list[Parameter],
    optimizer: Optimizer,
    average: Average,
    step: int,
    inputs: str,
) -> None:
    """Publishes the state after ``step`` optimiser steps, in place of the one before."""
    tensors: dict[str, Any] = {}
    for i, parameter in enumerate(parameters):
        state = optimizer.state[parameter]
        tensors[f"{i}.weight"] = parameter
        tensors[f"{i}.first"] = state["exp_avg"]
        tensors[f"{i}.second"] = state["exp_avg_sq"]
    tensors |= {f"{i}.average": one for i, one in enumerate(average.held)}
    write_state(directory / _NAME, tensors, {"step": step, "inputs": inputs})


def load_state(
    directory: Path,
    parameters: list[Parameter],
    optimizer: Optimizer,
    average: Average,
    inputs: str,
    before: int,
    on_event: EventSink,
) -> int:
    """Puts a saved state into parameters, optimiser and average; returns its step, 0 if there is none.

    A state that is not ``before`` the step wanted next is of no use and left alone; a damaged one is set
    aside. InputError if the state belongs to another training.
    """
    read = read_state(directory / _NAME, on_event)
    if read is None:
        return 0
    about, tensors = read
    if about["inputs"] != inputs:
        raise InputError(
            f"{directory} holds an unfinished training with other rows, recipe, seed or base. "
            "Remove it, or choose another output directory."
        )
    step = int(about["step"])
    if step >= before:
        return 0
    with torch.no_grad():
        for i, parameter in enumerate(parameters):
            parameter.copy_(tensors[f"{i}.weight"])
            optimizer.state[parameter] = {
                "step": torch.tensor(float(step)),
                "exp_avg": tensors[f"{i}.first"].to(parameter.device),
                "exp_avg_sq": tensors[f"{i}.second"].to(parameter.device),
            }
        for i, one in enumerate(average.held):
            one.copy_(tensors[f"{i}.average"])
    return step
