"""The loop behind both stages: rows in, one AdamW step per batch, prompt and response weighted."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from puretune.events import Advanced, EventSink, Finished, Started
from puretune.lab.corpus import Row
from puretune.lab.tokenizer import BOS, EOS, PAD

_POOL = 8
"""Batches whose rows are sorted by length together, so that little is padding."""
_WARM_UP = 0.05
_LAST_RATE = 0.1
_REPORT_EVERY = 50


@dataclass(frozen=True)
class Stage:
    """One stage of training."""

    name: str
    steps: int
    rate: float
    batch_size: int
    prompt_weight: float
    weight_decay: float
    seed: int


@dataclass(frozen=True)
class Outcome:
    """What a stage saw: the mean loss of its last steps, and its tokens (padding not counted)."""

    loss: float
    tokens: int


def train(model: Any, tokenizer: Any, rows: Iterator[Row], stage: Stage, on_event: EventSink) -> Outcome:
    """Trains all weights of a causal LM in place, on the CPU, in float32."""
    on_event(Started(stage.name, stage.steps))
    model.train()
    optimizer = torch.optim.AdamW(_groups(model, stage.weight_decay), lr=stage.rate, betas=(0.9, 0.98))
    losses, tokens = [], 0
    for step, batch in enumerate(islice(_batches(tokenizer, rows, stage), stage.steps)):
        for group in optimizer.param_groups:
            group["lr"] = stage.rate * _factor(step, stage.steps)
        loss = _loss(model, *batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        tokens += int((batch[0] != tokenizer.token_to_id(PAD)).sum())
        if (step + 1) % _REPORT_EVERY == 0:
            on_event(Advanced(stage.name, step + 1, f"loss {_recent(losses):.3f}"))
    model.eval()
    on_event(Finished(stage.name, f"loss {_recent(losses):.3f}"))
    return Outcome(_recent(losses), tokens)


def _recent(losses: list[float]) -> float:
    last = losses[-_REPORT_EVERY:]
    return sum(last) / max(1, len(last))


def _factor(step: int, steps: int) -> float:
    warm = max(1, int(_WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    progress = (step - warm) / max(1, steps - warm)
    return _LAST_RATE + (1 - _LAST_RATE) * 0.5 * (1 + math.cos(math.pi * progress))


def _groups(model: Any, weight_decay: float) -> list[dict[str, Any]]:
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]


def _loss(model: Any, ids: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean cross-entropy. ids: [rows, length]; weights: the same shape, per predicted token."""
    hidden = model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
    counted = weights[:, 1:] > 0
    losses = cross_entropy(model.lm_head(hidden[counted]), ids[:, 1:][counted], reduction="none")
    kept = weights[:, 1:][counted]
    return (losses * kept).sum() / kept.sum()


def _batches(tokenizer: Any, rows: Iterator[Row], stage: Stage) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches without end: (ids, weights), padded on the right to the batch's longest row."""
    rng = random.Random(stage.seed)
    while True:
        encoded = _encode(tokenizer, list(islice(rows, stage.batch_size * _POOL)))
        encoded.sort(key=lambda pair: len(pair[0]) + len(pair[1]))
        starts = list(range(0, len(encoded), stage.batch_size))
        rng.shuffle(starts)
        for start in starts:
            yield _padded(tokenizer, encoded[start : start + stage.batch_size], stage.prompt_weight)


def _encode(tokenizer: Any, rows: list[Row]) -> list[tuple[list[int], list[int]]]:
    """(prompt ids with ``<s>``, response ids with ``</s>``) per row."""
    prompts = tokenizer.encode_batch([row.prompt for row in rows], add_special_tokens=False)
    responses = tokenizer.encode_batch([row.response for row in rows], add_special_tokens=False)
    bos, eos = tokenizer.token_to_id(BOS), tokenizer.token_to_id(EOS)
    return [([bos, *p.ids], [*r.ids, eos]) for p, r in zip(prompts, responses, strict=True)]


def _padded(
    tokenizer: Any, encoded: list[tuple[list[int], list[int]]], prompt_weight: float
) -> tuple[Tensor, Tensor]:
    longest = max(len(p) + len(r) for p, r in encoded)
    ids = torch.full((len(encoded), longest), tokenizer.token_to_id(PAD))
    weights = torch.zeros((len(encoded), longest))
    for i, (prompt, response) in enumerate(encoded):
        end = len(prompt) + len(response)
        ids[i, :end] = torch.tensor(prompt + response)
        weights[i, : len(prompt)] = prompt_weight
        weights[i, len(prompt) : end] = 1.0
    return ids, weights
