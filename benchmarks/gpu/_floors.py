"""What the hardware could do: measured ceilings of products and of memory, and the floors that follow."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from puretune.models import BaseModel

TUNE_FLOPS = 4
"""Per parameter and token: forward, and back through frozen weights to the adapters."""


def ceilings(base: BaseModel) -> dict[str, float]:
    """FLOP/s of a large product in the model's number format, and bytes/s of reading memory."""
    import torch

    device, dtype = base.device, base.model.dtype
    side = 8192 if device.type == "cuda" else 512
    a = torch.randn(side, side, device=device, dtype=dtype)
    many = torch.empty(2**30 if device.type == "cuda" else 2**24, device=device, dtype=torch.uint8)
    product = best_seconds(lambda: a @ a, device)
    copy = best_seconds(lambda: many.clone(), device)
    return {"flops": 2 * side**3 / product, "bytes": 2 * many.numel() / copy}


def best_seconds(work: Callable[[], Any], device: Any, repeats: int = 10) -> float:
    """The least time of one call, the device waited for."""
    taken = []
    for _ in range(repeats + 3):
        wait(device)
        started = time.perf_counter()
        work()
        wait(device)
        taken.append(time.perf_counter() - started)
    return min(taken[3:])


def wait(device: Any) -> None:
    """Until the device has done what it was given."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


def parameters(base: BaseModel) -> int:
    """N: parameters that a token is multiplied with (the embedding table is looked up)."""
    total = sum(weight.numel() for weight in base.model.parameters())
    return int(total - base.model.get_input_embeddings().weight.numel())


def tune_floor(base: BaseModel, tokens: int, ceiling: dict[str, float]) -> float:
    """The least seconds that training on so many tokens takes at the measured ceiling, without attention."""
    return TUNE_FLOPS * parameters(base) * tokens / ceiling["flops"]


def answer_floor(base: BaseModel, prompt: int, new: int, together: int, ceiling: dict[str, float]) -> float:
    """The least seconds of answering: products of all tokens, or reading the weights once for every step of
    ``together`` rows, whichever takes longer; reading keys and values comes on top in reality."""
    size = base.model.dtype.itemsize
    products = 2 * parameters(base) * (prompt + new) / ceiling["flops"]
    reading = parameters(base) * size * (new / together) / ceiling["bytes"]
    return max(products, reading)
