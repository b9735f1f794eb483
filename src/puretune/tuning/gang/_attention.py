"""Attention over a pack: exact, bucket by bucket (``_layout.py`` says who sees what)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from puretune.tuning.gang._layout import Bucket, Layout
from puretune.tuning.gang._products import by_products

if TYPE_CHECKING:
    from torch import Tensor


def attended(q: Tensor, k: Tensor, v: Tensor, layout: Layout, masks: Sequence[Tensor], kind: str) -> Tensor:
    """q, scaled: [heads, queries, width]; k, v: [key heads, tokens, width]. Returns [queries, heads * width].

    ``kind``: ``plain`` for batched products, ``sdpa`` for torch's fused attention.
    """
    import torch

    if kind == "plain":
        return by_products(q, k, v, layout, masks)
    slots = [
        _fused(bucket.queries(q), k, v, bucket, mask)
        for bucket, mask in zip(layout.buckets, masks, strict=True)
    ]
    return layout.back(torch.cat(slots, dim=1)).transpose(0, 1).flatten(1)


def _fused(q: Tensor, k: Tensor, v: Tensor, bucket: Bucket, mask: Tensor) -> Tensor:
    """Shared keys are copied for each row. q and the result: [heads, slots, width]."""
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
        scale=1.0,
        enable_gqa=len(k) != heads,
    )
    return found.transpose(0, 1).reshape(heads, slots, width)
