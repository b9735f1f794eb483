"""TRL's SFTTrainer, bound to our rows, their order, our schedule and our resume points."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor
from transformers import PrinterCallback, TrainerCallback

from puretune.models import BaseModel
from puretune.tuning._schedule import learning_rate, plan_steps, steps_per_epoch, stream
from puretune.tuning.losses import CROSS_ENTROPY
from puretune.tuning.trainer._losses import STRAND, with_own_losses
from puretune.tuning.trainer._options import TrainerOptions
from puretune.tuning.trainer._steps import Steps

if TYPE_CHECKING:
    from puretune.tuning._jobs import Job


class Observer(Protocol):
    """Told what happens in training."""

    def began(self, step: int) -> None:
        """Training begins, or resumes after an optimiser step."""
        ...

    def lost(self, loss: Tensor) -> None:
        """A forward pass had this loss, already divided by the step's trained tokens."""
        ...

    def stepped(self, step: int) -> bool:
        """An optimiser step is over; returns whether a resume point is overdue."""
        ...

    def saved(self, step: int) -> None:
        """A resume point is on the disk."""
        ...


def sft_trainer(
    job: Job, base: BaseModel, model: Any, data: Steps, options: TrainerOptions, observer: Observer, cpu: bool
) -> Any:
    """The trainer of one task, up to its last missing step; ``train()`` runs it.

    TRL gets ids and labels and prepares nothing. Its loss is the sum over a step's trained tokens, divided by
    their number over all micro-batches and processes (``num_items_in_batch``), as in our own loop.
    """
    from datasets import Dataset

    kind, items = _class(job, data, observer), data.items
    if any(row.loss != CROSS_ENTROPY for row in job.rows):
        kind = with_own_losses(kind, data)
        items = [{**item, STRAND: number} for number, item in enumerate(items)]
    trainer = kind(
        model=model,
        args=_arguments(job, base, data, options, cpu),
        train_dataset=Dataset.from_list(items),
        processing_class=_own_tokenizer(base),
        callbacks=[_callback(observer)],
    )
    trainer.remove_callback(PrinterCallback)
    # Set where the model's forward takes keyword arguments; TRL's loss needs the step's token count always
    trainer.model_accepts_loss_kwargs = True
    return trainer


def _class(job: Job, data: Steps, observer: Observer) -> Any:
    from trl import SFTTrainer

    recipe, rows = job.task.recipe, len(job.rows)
    total, per_epoch = plan_steps(recipe, rows), steps_per_epoch(recipe, rows)

    class Trainer(SFTTrainer):  # type: ignore[misc]
        def _get_train_sampler(self, train_dataset: Any = None) -> list[int]:
            return data.order

        def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
            def factor(step: int) -> float:
                return learning_rate(recipe, step, total, per_epoch) / recipe.learning_rate

            if self.lr_scheduler is None:  # type: ignore[has-type]
                self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer or self.optimizer, factor)
                self._created_lr_scheduler = True
            return self.lr_scheduler

        def training_step(self, *arguments: Any, **more: Any) -> Any:
            loss = super().training_step(*arguments, **more)
            observer.lost(loss)
            return loss

        def create_model_card(self, *arguments: Any, **more: Any) -> None:
            """Resume points need none."""

        def _send_telemetry(self) -> None:
            """Nobody agreed to that."""

    return Trainer


def _arguments(job: Job, base: BaseModel, data: Steps, options: TrainerOptions, cpu: bool) -> Any:
    from trl import SFTConfig

    recipe, device = job.task.recipe, base.device
    if device.type == "cuda" and options.launch is None:
        torch.cuda.set_device(device)
    arguments = SFTConfig(
        output_dir=str(job.resume),
        max_steps=max(job.missing),
        per_device_train_batch_size=data.micro,
        gradient_accumulation_steps=data.accumulation,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        max_grad_norm=recipe.clip or 0.0,
        optim="adamw_torch",
        seed=stream(job.task.seed, "trainer") % 2**32,
        bf16=base.dtype_name == "bfloat16",
        fp16=base.dtype_name == "float16",
        use_cpu=cpu,
        gradient_checkpointing=options.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False} if options.gradient_checkpointing else None,
        padding_free=options.padding_free or options.packing,
        use_liger_kernel=options.liger,
        max_length=None,
        packing=False,
        shuffle_dataset=False,
        save_strategy="steps",
        save_steps=recipe.checkpoint_every,
        save_total_limit=2,
        logging_strategy="steps" if options.report_to else "no",
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to=list(options.report_to) or "none",
        run_name=job.task.name,
        disable_tqdm=True,
        log_level="error",
    )
    if options.launch is None and arguments.n_gpu > 1:
        arguments._n_gpu = 1  # one process trains on one GPU, whatever else is visible
    return arguments


def _callback(observer: Observer) -> Any:
    class Callback(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            observer.began(state.global_step)

        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            if observer.stepped(state.global_step) and state.global_step < state.max_steps:
                control.should_save = True

        def on_save(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            observer.saved(state.global_step)

    return Callback()


def _own_tokenizer(base: BaseModel) -> Any:
    """A copy: TRL sets its padding token. Padding is never read, so any token will do."""
    from copy import deepcopy

    tokenizer = deepcopy(base.tokenizer)
    if tokenizer.pad_token is None and tokenizer.eos_token is None:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(0)
    return tokenizer


def checkpoint_directory(resume: Path, step: int) -> Path:
    """Where the trainer saves its resume point of a step."""
    return resume / f"checkpoint-{step}"
