"""The reference tuner: one LoRA adapter after the other, in a plain loop that specifies what training means.

- Rows of a step: the next ``batch_size * accumulation`` of the epoch's shuffled order.
- Loss: the mean over all trained tokens of the step, however it is cut into micro-batches.
- AdamW (0.9, 0.999, 1e-8) on A and B in float32, gradient norm clipped over the whole adapter.
- Initial weights, data order and dropout are functions of the condition's seed and the step alone.
"""

from __future__ import annotations

import math
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from puretune.errors import CheckFailed, EnvironmentFault, InputError
from puretune.events import Advanced, EventSink, Finished, Started, ignore
from puretune.models import (
    AdapterRef,
    BaseModel,
    Lora,
    adapter_ref,
    attached,
    check_adapter,
    load_lora,
    new_lora,
    read_manifest,
    save_lora,
    target_modules,
    write_manifest,
)
from puretune.store import make_directory, publish_directory
from puretune.tuning._about import inputs_digest, manifest
from puretune.tuning._resume import load_state, save_state
from puretune.tuning._rows import Batch, Row, batch, render_rows
from puretune.tuning._schedule import (
    kept_steps,
    learning_rate,
    plan_steps,
    rows_of_step,
    steps_per_epoch,
    stream,
)
from puretune.tuning._types import Condition, NoOptions

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer


class LoopTuner:
    """Trains LoRA adapters on one frozen base, condition by condition. Implements ``Tuner``."""

    name = "loop"
    version = "1"
    Options = NoOptions

    def __init__(self, base: BaseModel, options: NoOptions | None = None, /) -> None:
        self.base = base

    def tune(
        self, conditions: Sequence[Condition], on_event: EventSink = ignore
    ) -> Iterator[tuple[Condition, int, AdapterRef]]:
        """Yields (condition, optimiser step, adapter) as adapters are kept, conditions in their order.

        All conditions are checked before the first step. What is there already is not made again, and an
        interrupted training goes on to bit-identical adapters. InputError for rows or recipes that cannot be
        trained, CheckFailed where the loss is not a number.
        """
        jobs = [_prepare(condition, self.base, f"{self.name} {self.version}") for condition in conditions]
        for job in jobs:
            yield from _run(job, self.base, on_event)


@dataclass(frozen=True)
class _Job:
    """A checked condition."""

    condition: Condition
    inputs: str
    tuner: str
    rows: tuple[Row, ...]
    """Empty where all adapters are there already."""
    kept: dict[int, AdapterRef]
    """Adapters that are there already, by step."""
    keep: tuple[int, ...]
    lora: Lora | None
    """The adapter before the first step; None where nothing is to be trained."""

    @property
    def missing(self) -> list[int]:
        return [step for step in self.keep if step not in self.kept]

    @property
    def resume(self) -> Path:
        return self.condition.out / "resume"


def _prepare(condition: Condition, base: BaseModel, tuner: str) -> _Job:
    inputs = inputs_digest(condition, base, tuner)
    keep = kept_steps(condition.recipe, len(condition.rows)) if condition.rows else ()
    kept = {step: ref for step in keep if (ref := _existing(condition.out / f"step-{step}", inputs))}
    if keep and set(keep) == set(kept):
        return _Job(condition, inputs, tuner, (), kept, keep, None)
    rows = render_rows(condition, base.renderer, base.context_length)
    lora = _initial(condition, base)
    make_directory(condition.out)
    return _Job(condition, inputs, tuner, rows, kept, keep, lora)


def _existing(directory: Path, inputs: str) -> AdapterRef | None:
    """The adapter that an earlier run kept there; InputError where it is another training's."""
    if not directory.is_dir():
        return None
    found = read_manifest(directory)
    if found is None or found.inputs != inputs:
        raise InputError(
            f"{directory} holds an adapter made from other rows, recipe, seed or base. "
            "Choose another output directory, or remove it."
        )
    return adapter_ref(directory)


def _run(job: _Job, base: BaseModel, on_event: EventSink) -> Iterator[tuple[Condition, int, AdapterRef]]:
    yield from ((job.condition, step, ref) for step, ref in job.kept.items())
    if job.lora is None:
        return
    for left in job.condition.out.glob(".step-*.tmp"):
        shutil.rmtree(left, ignore_errors=True)
    for step, loss in _train(job, base, job.lora, on_event):
        if step in job.missing:
            yield job.condition, step, _publish(job, base, job.lora, step, loss)
    shutil.rmtree(job.resume, ignore_errors=True)


def _initial(condition: Condition, base: BaseModel) -> Lora:
    import torch

    recipe = condition.recipe
    if condition.start is None:
        generator = torch.Generator().manual_seed(stream(condition.seed, "init"))
        return new_lora(base.model, recipe.rank, recipe.alpha, recipe.targets, generator)
    if condition.start.kind == "checkpoint":
        raise InputError(
            f"condition {condition.name!r} starts from the full checkpoint {condition.start.path}. "
            "Name that checkpoint as the study's model, and train without `start`."
        )
    check_adapter(condition.start, base.spec)
    lora = load_lora(condition.start.path, base.model)
    layers = set(target_modules(base.model, recipe.targets))
    if (lora.rank, lora.alpha, set(lora.pairs)) != (recipe.rank, recipe.alpha, layers):
        raise InputError(
            f"condition {condition.name!r} goes on from {condition.start.path}, which has rank {lora.rank}, "
            f"alpha {lora.alpha:g} and targets {', '.join(lora.targets)}. Set the same in the recipe."
        )
    return lora


def _train(job: _Job, base: BaseModel, lora: Lora, on_event: EventSink) -> Iterator[tuple[int, float]]:
    """Yields (step, loss) after each optimiser step, counted from 1; steps done earlier are not yielded."""
    import torch

    recipe, work = job.condition.recipe, f"tune {job.condition.name}"
    last = max(job.missing)
    optimizer = torch.optim.AdamW(lora.parameters, weight_decay=recipe.weight_decay)
    done = load_state(job.resume, lora.parameters, optimizer, job.inputs, before=min(job.missing))
    on_event(Started(work, last))
    meter = _Meter()
    loss = math.nan
    for step in range(done, last):
        loss = _step(job, base, lora, optimizer, step, meter)
        yield step + 1, loss
        if (step + 1) % recipe.checkpoint_every == 0 and step + 1 < last:
            save_state(job.resume, lora.parameters, optimizer, step + 1, job.inputs)
        on_event(Advanced(work, step + 1, f"loss {loss:.3f}, {meter.rate:,.0f} tokens/s"))
    on_event(Finished(work, f"loss {loss:.3f}, {meter.tokens:,} tokens in {meter.seconds:.1f} s"))


def _step(job: _Job, base: BaseModel, lora: Lora, optimizer: Optimizer, step: int, meter: _Meter) -> float:
    """One optimiser step; returns the mean loss per trained token, in nats."""
    import torch

    recipe, seed = job.condition.recipe, job.condition.seed
    rows = [job.rows[i] for i in rows_of_step(recipe, len(job.rows), seed, step)]
    trained = sum(row.trained for row in rows)
    optimizer.param_groups[0]["lr"] = learning_rate(
        recipe, step, plan_steps(recipe, len(job.rows)), steps_per_epoch(recipe, len(job.rows))
    )
    generator = torch.Generator(base.device).manual_seed(stream(seed, "dropout", step))
    loss = 0.0
    with attached(base.model, lora, recipe.dropout, generator):
        for start in range(0, len(rows), recipe.batch_size):
            part = batch(rows[start : start + recipe.batch_size], base.device)
            part_loss = summed_loss(base.model, part) / trained
            part_loss.backward()  # type: ignore[no-untyped-call]
            loss += part_loss.item()
    if not math.isfinite(loss):
        raise CheckFailed(
            f"condition {job.condition.name!r}: the loss is {loss} at step {step + 1}. "
            "Lower recipe.learning_rate, or use dtype float32."
        )
    if recipe.clip is not None:
        torch.nn.utils.clip_grad_norm_(lora.parameters, recipe.clip)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    meter.count(sum(len(row.ids) for row in rows))
    return loss


def summed_loss(model: Any, part: Batch) -> Tensor:
    """Cross-entropy in float32, summed over the trained tokens; the head of the model sees no others."""
    from torch.nn.functional import cross_entropy

    def choose(head: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
        hidden = arguments[0]
        if hidden.shape[:-1] != part.ids.shape:
            return None
        return (hidden.flatten(0, 1)[part.places].unsqueeze(0), *arguments[1:])

    handle = model.get_output_embeddings().register_forward_pre_hook(choose)
    try:
        logits = model(input_ids=part.ids, use_cache=False).logits.flatten(0, 1)
    finally:
        handle.remove()
    if len(logits) != len(part.places):  # a model that does not call its head as a module
        logits = logits[part.places]
    return cross_entropy(logits.float(), part.targets, reduction="sum")


def _publish(job: _Job, base: BaseModel, lora: Lora, step: int, loss: float) -> AdapterRef:
    final = job.condition.out / f"step-{step}"
    temporary = make_directory(final.with_name(f".{final.name}-{secrets.token_hex(4)}.tmp"))
    try:
        save_lora(temporary, lora, base.model, base.spec.model, base.spec.revision)
        write_manifest(temporary, manifest(job.condition, base, job.rows, job.tuner, step, loss))
        publish_directory(temporary, final)
    except OSError as error:
        raise EnvironmentFault(f"cannot write the adapter {final}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return adapter_ref(final)


class _Meter:
    """Tokens and seconds since training began (or went on)."""

    def __init__(self) -> None:
        self.tokens = 0
        self.start = time.monotonic()

    def count(self, tokens: int) -> None:
        self.tokens += tokens

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.start

    @property
    def rate(self) -> float:
        return self.tokens / max(self.seconds, 1e-9)
