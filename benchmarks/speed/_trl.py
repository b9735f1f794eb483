"""PEFT with TRL's SFTTrainer, one run per adapter: exact token rows in, the adapter's matrices out.

Everything is as TRL has it, except what must be the same on both sides: the rows and their order, the first
weights, the recipe, the number format; and that nothing is reported to a tracker.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.speed._steps import Steps

from puretune.models import BaseModel, new_lora, save_lora
from puretune.tuning._schedule import stream

Tensors = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """How TRL is set up."""

    tuned: bool = False
    """As its documentation advises for speed: no gradient checkpointing (the memory is there), no progress
    bars, no logging, no saving on the way."""
    padding_free: bool = False
    """Rows of a batch in one row without padding; TRL recommends it with FlashAttention only."""
    dtype: str = "float32"
    """``bfloat16``: TRL's own default, mixed precision on frozen weights in float32."""
    threads: int = 1
    processes: int = 1
    """Runs at a time; a second one is forked."""


@dataclass(frozen=True)
class Made:
    """An adapter, and how long it took from the first step to the last, without setting up."""

    tensors: Tensors
    """Its matrices under PEFT's names."""
    training_seconds: float


def train(steps: Steps, base: BaseModel, setting: Setting, scratch: Path, model: Any = None) -> Made:
    """One adapter. ``model``: the weights, if they are not to be loaded."""
    import torch
    from peft import get_peft_model_state_dict
    from trl import SFTTrainer

    torch.set_num_threads(setting.threads)
    with silence():
        adapted = _model(steps, base, scratch / "start", model)
        trainer = SFTTrainer(
            model=adapted,
            args=_config(steps, setting, scratch / "trl"),
            train_dataset=_dataset(steps),
            processing_class=base.tokenizer,
        )
        started = time.perf_counter()
        trainer.train()
        taken = time.perf_counter() - started
        made = get_peft_model_state_dict(adapted)
        plain = adapted.unload()
        plain.gradient_checkpointing_disable()
    plain.config.use_cache = True
    plain.eval().requires_grad_(False)
    return Made({name: weight.detach().cpu() for name, weight in made.items()}, taken)


def _model(steps: Steps, base: BaseModel, start: Path, model: Any) -> Any:
    """The base from its files and the adapter that our tuners begin with."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    task, recipe = steps.task, steps.task.recipe
    generator = torch.Generator().manual_seed(stream(task.seed, "init"))
    lora = new_lora(base.model, recipe.rank, recipe.alpha, recipe.targets, generator)
    start.mkdir(parents=True, exist_ok=True)
    save_lora(start, lora, base.model, base.spec.model, base.spec.revision)
    if model is None:
        model = AutoModelForCausalLM.from_pretrained(base.path, dtype=torch.float32, local_files_only=True)
    return PeftModel.from_pretrained(model, str(start), is_trainable=True)


def _config(steps: Steps, setting: Setting, out: Path) -> Any:
    from trl import SFTConfig

    recipe = steps.task.recipe
    fast = {
        "gradient_checkpointing": False,
        "disable_tqdm": True,
        "logging_strategy": "no",
        "save_strategy": "no",
        "padding_free": setting.padding_free,
        "max_length": None,
    }
    return SFTConfig(
        output_dir=str(out),
        per_device_train_batch_size=recipe.batch_size,
        gradient_accumulation_steps=recipe.accumulation,
        max_steps=recipe.steps,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.schedule,
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.clip or 0.0,
        train_sampling_strategy="sequential",
        bf16=setting.dtype == "bfloat16",
        use_cpu=base_is_cpu(),
        report_to="none",
        **(fast if setting.tuned else {}),
    )


def base_is_cpu() -> bool:
    """Whether there is no GPU."""
    import torch

    return not torch.cuda.is_available()


def _dataset(steps: Steps) -> Any:
    from datasets import Dataset

    return Dataset.from_dict(
        {
            "input_ids": [list(row.ids) for row in steps.rows],
            "labels": [
                [token if trained else -100 for token, trained in zip(row.ids, row.loss_mask, strict=True)]
                for row in steps.rows
            ],
        }
    )


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Nothing of what peers print or warn of, while the block runs."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logging.disable(before)
