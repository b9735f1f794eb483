"""What an interrupted training needs to go on: one file with weights, optimiser state and the step.

Random streams and data order follow from seed and step, so they are not part of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from puretune.errors import CheckFailed, InputError
from puretune.store import write_bytes

if TYPE_CHECKING:
    from torch.nn import Parameter
    from torch.optim import Optimizer

_NAME = "state.safetensors"


def save_state(
    directory: Path, parameters: list[Parameter], optimizer: Optimizer, step: int, inputs: str
) -> None:
    """Publishes the state after ``step`` optimiser steps, in place of the one before."""
    from safetensors.torch import save

    tensors: dict[str, Any] = {}
    for i, parameter in enumerate(parameters):
        state = optimizer.state[parameter]
        tensors[f"{i}.weight"] = parameter.detach().cpu()
        tensors[f"{i}.first"] = state["exp_avg"].cpu()
        tensors[f"{i}.second"] = state["exp_avg_sq"].cpu()
    write_bytes(directory / _NAME, save(tensors, metadata={"step": str(step), "inputs": inputs}))


def load_state(
    directory: Path, parameters: list[Parameter], optimizer: Optimizer, inputs: str, before: int
) -> int:
    """Puts a saved state into parameters and optimiser; returns its step, 0 where there is none.

    A state that is not ``before`` the step wanted next is of no use and left alone. InputError where the
    state belongs to another training.
    """
    import torch

    if not (directory / _NAME).is_file():
        return 0
    about, tensors = _read(directory / _NAME)
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
    return step


def _read(file: Path) -> tuple[dict[str, str], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt", device="cpu") as content:
            return dict(content.metadata()), {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, TypeError) as error:
        raise CheckFailed(
            f"{file} is damaged ({error}). Remove it; the training then starts over."
        ) from error
