"""Attention over a pack: exact, bucket by bucket (``_buckets.py`` says who sees what)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from puretune.decoder import attention, attention_gradients
from puretune.tuning.gang._buckets import Bucket, Layout

_Pair = tuple[Tensor, Tensor]
"""Of keys and values."""


def attended(q: Tensor, k: Tensor, v: Tensor, layout: Layout, masks: Sequence[Tensor], kind: str) -> Tensor:
    """[queries, heads * width] from q [queries, heads, width], k and v [tokens, key heads, width].

    ``kind``: ``plain`` for batched products, ``sdpa`` for torch's fused attention.
    """
    if kind == "plain":
        result: Tensor = _ByProducts.apply(q, k, v, layout, masks)  # type: ignore[no-untyped-call]
        return result
    slots = [_fused(q, k, v, bucket, mask) for bucket, mask in zip(layout.buckets, masks, strict=True)]
    return torch.cat(slots).index_select(0, layout.back)


def _fused(q: Tensor, k: Tensor, v: Tensor, bucket: Bucket, mask: Tensor) -> Tensor:
    """[slots, heads * width]. Shared keys are copied for each row."""
    runs = bucket.families * bucket.rows

    def keys(x: Tensor) -> Tensor:
        own = x.index_select(0, bucket.own.places).view(runs, -1, *x.shape[1:])
        if bucket.before is not None:
            first = x.index_select(0, bucket.before.places).view(bucket.families, 1, -1, *x.shape[1:])
            own = torch.cat([first.expand(-1, bucket.rows, -1, -1, -1).flatten(0, 1), own], dim=1)
        return own.transpose(1, 2)

    asked = q.index_select(0, bucket.queries.places).view(runs, -1, *q.shape[1:]).transpose(1, 2)
    seen = mask.flatten(0, 1).unsqueeze(1)
    grouped = k.shape[1] != q.shape[1]
    found = scaled_dot_product_attention(asked, keys(k), keys(v), attn_mask=seen, enable_gqa=grouped)
    return found.transpose(1, 2).reshape(-1, q.shape[1] * q.shape[2])


class _ByProducts(torch.autograd.Function):
    """:func:`puretune.decoder.attention` of every bucket, and its gradient."""

    @staticmethod
    def forward(ctx: Any, q: Any, k: Any, v: Any, layout: Layout, masks: Any) -> Any:
        slots, weights = [], []
        for bucket, mask in zip(layout.buckets, masks, strict=True):
            found = attention(_asked(q, k, bucket), *_keys(k, v, bucket), mask)
            slots.append(_slots(found.result, bucket.families, mask.shape[2]))
            weights.append(found.weights)
        ctx.save_for_backward(q, k, v, *weights)
        ctx.layout = layout
        return torch.cat(slots).index_select(0, layout.back).flatten(1)

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        q, k, v, *weights = ctx.saved_tensors
        layout: Layout = ctx.layout
        padded = torch.cat([grad.view_as(q), q.new_zeros(1, *q.shape[1:])])  # the last is for padding
        slopes, own, before = [], [], []
        for bucket, some in zip(layout.buckets, weights, strict=True):
            asked, groups = _asked(q, k, bucket), k.shape[1]
            arrived = _rows(padded, bucket.answers, groups, bucket.families, bucket.rows)
            dq, pair, shared = attention_gradients(asked, *_keys(k, v, bucket), some, arrived)
            tokens = len(bucket.answers) // (bucket.families * bucket.rows)
            slopes.append(_slots(dq.mul_(_scale(q)), bucket.families, tokens))
            own.append([_slots(x, bucket.families, x.shape[2]) for x in pair])
            before.append([_slots(x.unsqueeze(1), bucket.families, x.shape[1]) for x in shared or ()])
        dq = torch.cat(slopes).index_select(0, layout.back)
        return dq, *(_of_tokens(layout, own, before, which) for which in (0, 1)), None, None


def _asked(q: Tensor, k: Tensor, bucket: Bucket) -> Tensor:
    rows = _rows(q, bucket.queries.places, k.shape[1], bucket.families, bucket.rows)
    return rows.mul_(_scale(q))


def _scale(q: Tensor) -> float:
    return float(q.shape[-1] ** -0.5)


def _keys(k: Tensor, v: Tensor, bucket: Bucket) -> tuple[_Pair, _Pair | None]:
    """Keys and values, own ones [groups, rows, keys, width] and shared ones [groups, keys, width]."""
    groups, families, own, before = k.shape[1], bucket.families, bucket.own.places, bucket.before
    mine = _rows(k, own, groups, families, bucket.rows), _rows(v, own, groups, families, bucket.rows)
    if before is None:
        return mine, None
    first, second = (_rows(x, before.places, groups, families, 1).squeeze(1) for x in (k, v))
    return mine, (first, second)


def _rows(x: Tensor, places: Tensor, key_heads: int, families: int, rows: int) -> Tensor:
    """x [tokens, heads, width] at places: [key heads * families, rows, heads per key head * slots, width]"""
    _, heads, width = x.shape
    x = x.index_select(0, places).view(families, rows, -1, key_heads, heads // key_heads, width)
    return x.permute(3, 0, 1, 4, 2, 5).reshape(key_heads * families, rows, -1, width)


def _slots(x: Tensor, families: int, tokens: int) -> Tensor:
    """The way back: [slots, heads, width]"""
    groups, rows, queries, width = x.shape
    x = x.view(groups // families, families, rows, queries // tokens, tokens, width)
    return x.permute(1, 2, 4, 0, 3, 5).reshape(families * rows * tokens, -1, width)


def _of_tokens(
    layout: Layout, own: Sequence[Sequence[Tensor]], before: Sequence[Sequence[Tensor]], which: int
) -> Tensor:
    """The gradient of keys (0) or values (1), [tokens, key heads, width], from those of all slots."""
    mine = [pair[which] for pair in own]
    total = torch.cat([*mine, torch.zeros_like(mine[0][:1])]).index_select(0, layout.keys)
    for bucket, pair in zip(layout.buckets, before, strict=True):
        if bucket.before is not None:
            shared = pair[which].index_select(0, bucket.before.sources)
            total.index_add_(0, bucket.before.targets, shared)
    return total
