"""The reference tuner: one LoRA adapter after the other, in a plain loop that specifies what training means.

- Rows of a step: the next ``batch_size * accumulation`` of the epoch's shuffled order.
- Loss: the mean over all trained tokens of the step, however it is cut into micro-batches; of each token
  what its row's loss says (``losses.py``), cross-entropy if nothing else is asked for.
- AdamW (0.9, 0.999, 1e-8) on A and B in float32, gradient norm clipped over the whole adapter.
- Initial weights, data order and dropout are functions of the task's seed and the step alone. Dropout is
  drawn row by row, and once a step for the tokens that all rows of a template share (``_dropout.py``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from puretune.events import Advanced, EventSink, Finished, Started, ignore
from puretune.models import BaseModel, Lora, TunedModel, attached
from puretune.store import remove_sound, sweep
from puretune.tuning._average import Average
from puretune.tuning._checks import check_number_format, require_finite, require_finite_loss
from puretune.tuning._disk_space import warn_of_space
from puretune.tuning._dropout import DropoutStreams
from puretune.tuning._jobs import Job, Meter, prepare, publish
from puretune.tuning._loop_options import LoopOptions
from puretune.tuning._loop_state import load_state, save_state
from puretune.tuning._memory import in_pieces, require_room, telling
from puretune.tuning._resume_points import Pace
from puretune.tuning._rows import Batch, Row, batch
from puretune.tuning._schedule import learning_rate, plan_steps, rows_of_step, steps_per_epoch
from puretune.tuning._token_losses import Reference, TokenLosses, referring
from puretune.tuning._types import TuningTask


class LoopTuner:
    """Trains LoRA adapters on one frozen base, task by task. Implements ``Tuner``."""

    name = LoopOptions.name
    version = LoopOptions.version

    def __init__(self, base: BaseModel, options: LoopOptions | None = None, /) -> None:
        self.base = base

    def tune(
        self, tasks: Sequence[TuningTask], on_event: EventSink = ignore
    ) -> Iterator[tuple[TuningTask, int, TunedModel]]:
        """Yields (task, optimiser step, adapter) as adapters are kept, tasks in their order.

        All tasks are checked before the first step. What is there already is not made again, and an
        interrupted training resumes to bit-identical adapters. InputError for rows or recipes that cannot be
        trained, CheckFailed if the loss or a weight is not finite.
        """
        check_number_format(self.name, self.base.dtype_name, self.base.device_type)
        require_room(self.base, tasks)
        maker = f"{self.name} {self.version}"
        jobs = [prepare(task, self.base, maker, on_event) for task in tasks]
        warn_of_space(jobs, on_event)
        for job in jobs:
            yield from _run(job, self.base, on_event)


def _run(job: Job, base: BaseModel, on_event: EventSink) -> Iterator[tuple[TuningTask, int, TunedModel]]:
    yield from ((job.task, step, ref) for step, ref in job.kept.items())
    if job.lora is None:
        return
    sweep(job.task.out)
    average = Average(job.lora.parameters, job.task.recipe.ema)
    for step, loss in _train(job, base, job.lora, average, on_event):
        if step in job.missing:
            yield job.task, step, publish(job, base, average.of(job.lora), step, loss)
    remove_sound(job.resume)


def _train(
    job: Job, base: BaseModel, lora: Lora, average: Average, on_event: EventSink
) -> Iterator[tuple[int, float]]:
    """Yields (step, loss) after each optimiser step, counted from 1; steps done earlier are not yielded."""
    recipe, work = job.task.recipe, f"tune {job.task.name}"
    last = max(job.missing)
    optimizer = torch.optim.AdamW(lora.parameters, weight_decay=recipe.weight_decay)
    before, pace = min(job.missing), Pace([recipe])
    done = load_state(job.resume, lora.parameters, optimizer, average, job.inputs, before, on_event)
    on_event(Started(work, last))
    meter = Meter()
    loss, fits = math.nan, recipe.batch_size

    def attempt(rows: int) -> float:
        nonlocal fits
        fits = rows
        return _step(job, base, lora, optimizer, step, meter, rows)

    for step in range(done, last):
        loss = in_pieces(attempt, fits, telling(on_event, work, step))
        average.add()
        yield step + 1, loss
        if step + 1 < last and pace.due(step + 1):
            require_finite(job.task, _numbers(optimizer), step + 1)
            save_state(job.resume, lora.parameters, optimizer, average, step + 1, job.inputs)
            pace.saved()
        on_event(Advanced(work, step + 1, f"loss {loss:.3f}, {meter.rate:,.0f} tokens/s"))
    on_event(Finished(work, f"loss {loss:.3f}, {meter.tokens:,} tokens in {meter.seconds:.1f} s"))


def _step(
    job: Job, base: BaseModel, lora: Lora, optimizer: Optimizer, step: int, meter: Meter, rows_at_once: int
) -> float:
    """One optimiser step; returns the mean loss per trained token, in nats."""
    recipe, seed = job.task.recipe, job.task.seed
    rows = [job.rows[i] for i in rows_of_step(recipe, len(job.rows), seed, step)]
    trained = sum(row.trained for row in rows)
    optimizer.param_groups[0]["lr"] = learning_rate(
        recipe, step, plan_steps(recipe, len(job.rows)), steps_per_epoch(recipe, len(job.rows))
    )
    streams = DropoutStreams(seed, step, recipe.dropout)
    loss = 0.0
    optimizer.zero_grad(set_to_none=True)  # what an attempt without enough memory may have left
    for start in range(0, len(rows), rows_at_once):
        chosen = rows[start : start + rows_at_once]
        adapted = attached(base.model, lora, streams.on_padded(chosen, start))
        part_loss = token_losses(base.model, chosen, adapted).sum() / trained
        part_loss.backward()  # type: ignore[no-untyped-call]
        loss += part_loss.item()
    require_finite_loss(job.task, loss, step + 1)
    if recipe.clip is not None:
        torch.nn.utils.clip_grad_norm_(lora.parameters, recipe.clip)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    meter.count(sum(len(row.ids) for row in rows))
    return loss


def _numbers(optimizer: Optimizer) -> Iterator[Tensor]:
    """The weights and what the optimiser remembers of them."""
    for parameter in optimizer.param_groups[0]["params"]:
        yield from (parameter, *optimizer.state[parameter].values())


def token_losses(
    model: Any, rows: Sequence[Row], adapted: AbstractContextManager[Any], at_least: int = 0
) -> Tensor:
    """The loss of each trained token, row by row, of the model while it is ``adapted``; rows whose loss
    looks at the untuned model are put to it before. ``at_least``: the width of the batch."""
    reference = _reference(model, referring(rows))
    losses = TokenLosses(rows, model.device, reference)
    with adapted:
        return losses(_trained_logits(model, batch(rows, model.device, at_least)))


def _reference(model: Any, rows: tuple[Row, ...]) -> Reference | None:
    if not rows:
        return None
    with torch.no_grad():
        logits = _trained_logits(model, batch(rows, model.device))
    return Reference(rows, logits.__getitem__)


def _trained_logits(model: Any, part: Batch) -> Tensor:
    """[trained, vocabulary]; the head of the model sees no other tokens."""

    def choose(head: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
        hidden = arguments[0]
        if hidden.shape[:-1] != part.ids.shape:
            return None
        return (hidden.flatten(0, 1)[part.places].unsqueeze(0), *arguments[1:])

    handle = model.get_output_embeddings().register_forward_pre_hook(choose)
    try:
        logits: Tensor = model(input_ids=part.ids, use_cache=False).logits.flatten(0, 1)
    finally:
        handle.remove()
    # a model that does not call its head as a module has logits of all tokens
    return logits if len(logits) == len(part.places) else logits[part.places]
