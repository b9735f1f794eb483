"""Attention as batched matrix products, its gradient by hand: for short rows on a CPU the fastest.

Keys that several rows share (a prefix) meet all their queries in one product, as in cascade inference (arXiv
2402.05099); one softmax is over shared and own keys together, so that nothing has to be merged afterwards.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

Pair = tuple[Tensor, Tensor]
"""Keys and values."""


class Attended(NamedTuple):
    """What :func:`attention` gives, and what its gradient needs."""

    result: Tensor
    """[groups, rows, queries, width]"""
    weights: Tensor
    """[groups, rows, queries, shared and own keys]"""


def attention(q: Tensor, own: Pair, shared: Pair | None, mask: Tensor) -> Attended:
    """What queries [groups, rows, queries, width], already scaled, make of their rows' own keys and values
    [groups, rows, keys, width] and of those that a group's rows share [groups, keys, width].

    A group is a key head of some rows. ``mask`` [families, rows, tokens, last keys] is added to the scores: 0
    or -inf. Groups are families by key heads; queries are tokens by the query heads of one key head.
    """
    scores = q @ own[0].mT
    if shared is not None:
        first = q.flatten(1, 2) @ shared[0].mT
        scores = torch.cat([first.view(*scores.shape[:3], -1), scores], dim=-1)
    families, rows, tokens, seen = mask.shape
    masked = scores.view(-1, families, rows, scores.shape[2] // tokens, tokens, scores.shape[-1])
    masked[..., -seen:].add_(mask.unsqueeze(2))
    weights = scores.softmax(-1)
    result = weights[..., -own[1].shape[2] :] @ own[1]
    if shared is not None:
        result += (_before(weights, own) @ shared[1]).view(result.shape)
    return Attended(result, weights)


def attention_gradients(
    q: Tensor, own: Pair, shared: Pair | None, weights: Tensor, grad: Tensor
) -> tuple[Tensor, Pair, Pair | None]:
    """Gradients of the queries, of own keys and values, and of shared ones, from that of the result."""
    slopes = grad @ own[1].mT
    together = grad.flatten(1, 2)
    if shared is not None:
        slopes = torch.cat([(together @ shared[1].mT).view(*slopes.shape[:3], -1), slopes], dim=-1)
    slopes = torch._softmax_backward_data(slopes, weights, -1, weights.dtype)
    keys = own[0].shape[2]
    dq = slopes[..., -keys:] @ own[0]
    pair = slopes[..., -keys:].mT @ q, weights[..., -keys:].mT @ grad
    if shared is None:
        return dq, pair, None
    first = _before(slopes, own)
    dq += (first @ shared[0]).view(dq.shape)
    return dq, pair, (first.mT @ q.flatten(1, 2), _before(weights, own).mT @ together)


def _before(weights: Tensor, own: Pair) -> Tensor:
    """The part of [groups, rows, queries, keys] that is of shared keys, [groups, rows * queries, shared]."""
    return weights[..., : -own[0].shape[2]].flatten(1, 2)
