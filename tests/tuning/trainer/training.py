"""Short trainings with the trainer, and what to compare of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from safetensors.torch import load_file

from puretune.events import Event
from puretune.models import AdapterRef
from puretune.tuning import tuner_named


def train(
    base: Any, *tasks: Any, on_event: Callable[[Event], None] = lambda event: None, **options: Any
) -> list[tuple[Any, int, AdapterRef]]:
    return list(tuner_named("trainer", options).open(base).tune(tasks, on_event))


def trained(base: Any, made: Any, **options: Any) -> AdapterRef:
    return train(base, made, **options)[-1][2]


def apart(one: AdapterRef, two: AdapterRef) -> float:
    """The largest Frobenius norm of a matrix's difference."""
    a, b = (load_file(ref.path / "adapter_model.safetensors") for ref in (one, two))
    assert a.keys() == b.keys()
    return max(float(torch.linalg.norm(a[name] - b[name])) for name in a)
