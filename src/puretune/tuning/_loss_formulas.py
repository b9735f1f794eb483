"""Losses per trained token, as functions of logits."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

_EARLY = 5
"""Tokens of a response that the constrained loss holds most, the first of them less."""


class Chunk(NamedTuple):
    """Some trained tokens."""

    logits: Tensor
    """[tokens, vocabulary], in float32 at least."""
    targets: Tensor
    """[tokens] the tokens that are trained."""
    positions: Tensor
    """[tokens] their places in the response, from 0."""
    reference: Tensor | None
    """[tokens, vocabulary] logits of the untuned model, without a gradient; None: the loss asks for none."""


def cross_entropy(chunk: Chunk) -> Tensor:
    """``-log p``, [tokens]"""
    return nn.functional.cross_entropy(chunk.logits, chunk.targets, reduction="none")


def constrained(chunk: Chunk, betas: tuple[float, float, float], floor: float) -> Tensor:
    """``w x -log p`` with ``w = 2 (1 - sigmoid(beta (log p - log p_reference)))``, at least ``floor``;
    betas: of the response's first token, of tokens 2 to 5, and of those that follow."""
    losses = cross_entropy(chunk)
    assert chunk.reference is not None
    before = cross_entropy(chunk._replace(logits=chunk.reference))
    first, early, later = (torch.full_like(before, beta) for beta in betas)
    beta = torch.where(chunk.positions == 0, first, torch.where(chunk.positions < _EARLY, early, later))
    weights = 2 * torch.sigmoid(beta * (losses.detach() - before))
    return losses * weights.clamp(min=floor)


def kl_from_reference(chunk: Chunk) -> Tensor:
    """``sum p_reference (log p_reference - log p)`` over the vocabulary, [tokens]"""
    assert chunk.reference is not None
    before, now = (logits.log_softmax(-1) for logits in (chunk.reference, chunk.logits))
    return (before.exp() * (before - now)).sum(-1)


def squared_difference(chunk: Chunk) -> Tensor:
    """``mean (z - z_reference)^2`` over the vocabulary, [tokens]"""
    assert chunk.reference is not None
    return (chunk.logits - chunk.reference).square().mean(-1)
