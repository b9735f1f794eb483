"""The model that is trained: a copy of the base with adapters on it, in 4 bits, or all of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from torch import Tensor
from torch.nn import Parameter
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from puretune.errors import InputError
from puretune.models import BaseModel, CheckpointRef, Lora, load_model, shown
from puretune.tuning._jobs import Job
from puretune.tuning._types import TuningTask

_PREFIX = "base_model.model."


@dataclass(frozen=True)
class Where:
    """On what a training runs."""

    cpu: bool
    own: bool = False
    """This process has the base for itself: its weights are used as they are, and not copied."""
    sharded: bool = False
    """Weights are sharded over processes; adapters are then held in the base's own type."""
    processes: int = 1


def training_model(job: Job, base: BaseModel, method: str, where: Where) -> Any:
    """The model to train; its trainable weights are the adapter's or, for ``full``, all."""
    if method == "full":
        return _all_weights(base, job.task, where)
    assert job.lora is not None
    model = _in_four_bits(base) if method == "qlora" else _weights(base, where)
    return _adapted(model, job.lora, job.task.recipe.dropout, where)


def trained_lora(lora: Lora, weights: Mapping[str, Tensor]) -> Lora:
    """The adapter that PEFT's trained weights (by their names) are, in the form of ``lora``."""

    def matrix(name: str, part: str) -> Parameter:
        return Parameter(weights[f"{_PREFIX}{name}.lora_{part}.default.weight"].float().cpu())

    pairs = {name: (matrix(name, "A"), matrix(name, "B")) for name in lora.pairs}
    return Lora(lora.rank, lora.alpha, lora.targets, pairs, lora.scaling)


def _adapted(model: Any, lora: Lora, dropout: float, where: Where) -> Any:
    """PEFT's layers on ``model``, holding the adapter's matrices, in float32 unless weights are sharded."""
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        use_rslora=lora.scaling != lora.alpha / lora.rank,
        target_modules=list(lora.pairs),
        lora_dropout=dropout,
        bias="none",
        task_type="CAUSAL_LM",
    )
    wrapped = get_peft_model(model, config, autocast_adapter_dtype=not where.sharded)
    _put(wrapped, lora)
    return wrapped


def _weights(base: BaseModel, where: Where) -> Any:
    return _without_dropout(base.model if where.own else load_model(base.path, base.spec))


def _in_four_bits(base: BaseModel) -> Any:
    """The base in 4-bit NormalFloat with double quantisation (Dettmers et al., arXiv 2305.14314)."""
    quantised = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, base.dtype_name),
    )
    model = AutoModelForCausalLM.from_pretrained(
        str(base.path),
        quantization_config=quantised,
        dtype=getattr(torch, base.dtype_name),
        device_map={"": str(base.device)},
        use_safetensors=True,
        trust_remote_code=base.spec.trust_remote_code,
        local_files_only=True,
    )
    return _without_dropout(prepare_model_for_kbit_training(model, use_gradient_checkpointing=False))


def _all_weights(base: BaseModel, task: TuningTask, where: Where) -> Any:
    """All weights, trainable, in float32: steps this small would be lost in half precision."""
    start = task.start
    if start is not None and not isinstance(start, CheckpointRef):
        raise InputError(
            f"condition {task.name!r} tunes all weights and cannot start from {shown(start)}. "
            "Merge it into a checkpoint first, or use method lora."
        )
    model = _without_dropout(load_model(start.path, base.spec)) if start else _weights(base, where)
    return model.to(torch.float32).requires_grad_(True)


def _without_dropout(model: Any) -> Any:
    """The model's own dropout switched off: only adapters have dropout, in every tuner."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.0
    return model


@contextmanager
def aside(base: BaseModel) -> Iterator[None]:
    """The base's weights out of the accelerator's memory while the block runs."""
    device = base.device
    if device.type == "cpu":
        yield
        return
    base.model.to("cpu")
    try:
        yield
    finally:
        base.model.to(device)


def _put(wrapped: Any, lora: Lora) -> None:
    parameters = dict(wrapped.named_parameters())
    with torch.no_grad():
        for name, pair in lora.pairs.items():
            for part, matrix in zip("AB", pair, strict=True):
                parameters[f"{_PREFIX}{name}.lora_{part}.default.weight"].copy_(matrix)
