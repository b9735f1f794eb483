"""Helpers: the same conditions trained in the loop and as a gang, and gradients of both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from puretune.models import AdapterRef, Lora, attached
from puretune.tuning import LoopTuner, TuningTask
from puretune.tuning._dropout import DropoutStreams
from puretune.tuning._jobs import Job, prepare
from puretune.tuning._schedule import rows_of_step
from puretune.tuning.gang import GangOptions, GangTuner
from puretune.tuning.gang._packing import Part
from puretune.tuning.gang._passes import Limits, Passes
from puretune.tuning.gang._stack import Stack
from puretune.tuning.loop import token_losses
from tests.tuning.tasks import rows, task

TARGETS = {"gpt2": ("c_attn", "c_fc")}
TEMPLATES = ("text:vanilla", "chat:vanilla", "chat:mpt")
"""They share prefixes of different lengths."""


def varied(out: Path, family: str = "llama", **changes: Any) -> list[TuningTask]:
    """Conditions that differ in template, seed, dropout, clipping and decay, and can form one gang."""
    targets = TARGETS.get(family, ("q_proj", "v_proj", "down_proj"))
    own: list[dict[str, Any]] = [
        {"dropout": 0.2, "clip": 0.5},
        {"dropout": 0.0, "weight_decay": 0.1},
        {"dropout": 0.1, "clip": None, "warmup": 0.4, "schedule": "cosine"},
    ]
    return [
        task(
            out / str(seed),
            name=f"{template} {seed}",
            seed=seed,
            **{"rows": rows(7, template), "targets": targets, **some, **changes},
        )
        for seed, (template, some) in enumerate(zip(TEMPLATES, own, strict=True))
    ]


def gang(base: Any, tasks: Sequence[TuningTask], **options: Any) -> dict[tuple[str, int], AdapterRef]:
    made = GangTuner(base, GangOptions(**options)).tune(tasks)
    return {(one.name, step): ref for one, step, ref in made}


def loop(base: Any, tasks: Sequence[TuningTask]) -> dict[tuple[str, int], AdapterRef]:
    return {(one.name, step): ref for one, step, ref in LoopTuner(base).tune(tasks)}


def distance(one: dict[tuple[str, int], AdapterRef], two: dict[tuple[str, int], AdapterRef]) -> float:
    """Largest Frobenius norm of a difference between matrices of the same name."""
    assert one.keys() == two.keys()
    worst = 0.0
    for key in one:
        a, b = (load_file(found[key].path / "adapter_model.safetensors") for found in (one, two))
        assert a.keys() == b.keys()
        worst = max(worst, *(float(torch.linalg.norm(a[name] - b[name])) for name in a))
    return worst


def digests(found: dict[tuple[str, int], AdapterRef]) -> dict[tuple[str, int], str]:
    return {key: ref.digest for key, ref in found.items()}


def jobs_of(base: Any, tasks: Sequence[TuningTask]) -> list[Job]:
    """Prepared jobs, their adapters away from the zero that B starts at, in the model's precision."""
    jobs = [prepare(one, base, "test") for one in tasks]
    for job in jobs:
        assert job.lora is not None
        generator = torch.Generator().manual_seed(job.task.seed)
        for parameter in job.lora.parameters:
            parameter.data = parameter.data.to(base.model.dtype)
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
    return jobs


def part_of(job: Job, step: int = 0) -> Part:
    """The rows of one step, all in one micro-batch."""
    chosen = [job.rows[i] for i in rows_of_step(job.task.recipe, len(job.rows), job.task.seed, step)]
    streams = DropoutStreams(job.task.seed, step, job.task.recipe.dropout)
    return Part(tuple(chosen), 0, streams, 1 / sum(row.trained for row in chosen))


def gang_gradients(
    base: Any, jobs: Sequence[Job], limits: Limits | None = None, **options: Any
) -> tuple[list[float], torch.Tensor]:
    """Of the first step: (losses, gradients [adapters, numbers])."""
    stack = Stack([job.lora for job in jobs if job.lora is not None])
    limits = limits or Limits(len(jobs), 99, False)
    return Passes(base, stack, GangOptions(**options), limits).gradients([part_of(job) for job in jobs])


def loop_gradients(base: Any, jobs: Sequence[Job]) -> tuple[list[float], torch.Tensor]:
    """The same in the reference tuner's way."""
    made = [_alone(base, part_of(job), job.lora) for job in jobs]
    return [loss for loss, _ in made], torch.stack([gradient for _, gradient in made])


def _alone(base: Any, part: Part, lora: Lora | None) -> tuple[float, torch.Tensor]:
    assert lora is not None
    adapted = attached(base.model, lora, part.streams.on_padded(part.rows, part.first))
    loss = token_losses(base.model, part.rows, adapted).sum() * part.weight
    found = torch.autograd.grad(loss, lora.parameters)
    return loss.item(), torch.cat([gradient.flatten() for gradient in found])
