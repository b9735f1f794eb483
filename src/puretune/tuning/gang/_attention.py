"""Attention over a pack: exact, bucket by bucket (``_layout.py`` says who sees what)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from puretune.tuning.gang._layout import Bucket, Layout
from puretune.tuning.loop import at_least_float32

if TYPE_CHECKING:
    from torch import Tensor


def attended(
    q: Tensor, k: Tensor, v: Tensor, layout: Layout, masks: Sequence[Tensor], scaling: float, kind: str
) -> Tensor:
    """q: [heads, queries, width]; k, v: [key heads, tokens, width]. Returns [queries, heads * width]."""
    import torch

    one = _plain if kind == "plain" else _fused
    slots = [
        one(bucket.queries(q), k, v, bucket, mask, scaling)
        for bucket, mask in zip(layout.buckets, masks, strict=True)
    ]
    found = layout.back(torch.cat(slots, dim=1) if len(slots) > 1 else slots[0])
    return found.transpose(0, 1).flatten(1)


def _plain(q: Tensor, k: Tensor, v: Tensor, bucket: Bucket, mask: Tensor, scaling: float) -> Tensor:
    """Batched products. q and the result: [heads, slots, width]."""
    import torch

    heads, slots, width = q.shape
    grouped, families, rows = len(k), bucket.families, bucket.rows
    each = heads // grouped
    # [key heads, families, rows, query heads per key head, queries, width]
    q = q.view(grouped, each, families, rows, -1, width).permute(0, 2, 3, 1, 4, 5)
    q = q.reshape(grouped * families * rows, -1, width)
    own_k, own_v = (bucket.own(x).view(len(q), -1, width) for x in (k, v))
    mask = (mask.repeat(1, 1, each, 1) if each > 1 else mask).flatten(0, 1)
    scores = q @ own_k.mT
    if bucket.before is None:
        found = _weights(scores, mask, scaling) @ own_v
    else:
        # a family's queries meet its shared keys in one product
        first_k, first_v = (bucket.before(x).view(grouped * families, -1, width) for x in (k, v))
        before = q.view(grouped * families, -1, width) @ first_k.mT
        length = before.shape[-1]
        scores = torch.cat([before.view(*scores.shape[:-1], length), scores], dim=-1)
        weights = _weights(scores, mask, scaling)
        found = weights[..., length:] @ own_v
        found = found + (weights[..., :length].reshape(before.shape) @ first_v).view(found.shape)
    found = found.view(grouped, families, rows, each, -1, width).permute(0, 3, 1, 2, 4, 5)
    return found.reshape(heads, slots, width)


def _weights(scores: Tensor, mask: Tensor, scaling: float) -> Tensor:
    """scores: [key heads * runs, queries, keys]; mask: [runs, queries, keys]."""
    import torch

    masked = (scores * scaling).view(-1, *mask.shape).add_(mask)
    return torch.softmax(at_least_float32(masked), dim=-1).to(scores.dtype).view(scores.shape)


def _fused(q: Tensor, k: Tensor, v: Tensor, bucket: Bucket, mask: Tensor, scaling: float) -> Tensor:
    """torch's fused attention, on keys copied for each row."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    heads, slots, width = q.shape
    families, rows = bucket.families, bucket.rows

    def keys(x: Tensor) -> Tensor:
        own = bucket.own(x).view(len(x), families * rows, -1, width)
        if bucket.before is not None:
            first = bucket.before(x).view(len(x), families, 1, -1, width)
            first = first.expand(-1, -1, rows, -1, -1).flatten(1, 2)
            own = torch.cat([first, own], dim=2)
        return own.transpose(0, 1)

    found = scaled_dot_product_attention(
        q.view(heads, families * rows, -1, width).transpose(0, 1),
        keys(k),
        keys(v),
        attn_mask=mask.flatten(0, 1).unsqueeze(1),
        scale=scaling,
        enable_gqa=len(k) != heads,
    )
    return found.transpose(0, 1).reshape(heads, slots, width)
