"""Attention as batched matrix products, its gradient by hand: for short rows on a CPU the fastest.

The keys of a shared run meet all queries of its family in one product; the softmax is over shared and own
keys together, so that nothing has to be merged afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from puretune.tuning.gang._layout import Bucket, Layout

if TYPE_CHECKING:
    from torch import Tensor


def by_products(q: Tensor, k: Tensor, v: Tensor, layout: Layout, masks: Sequence[Tensor]) -> Tensor:
    """q, scaled: [heads, queries, width]; k, v: [key heads, tokens, width] -> [queries, heads * width]."""
    result: Tensor = _function().apply(q, k, v, layout, masks)
    return result


@dataclass(frozen=True)
class _Shape:
    """A bucket's tensors: queries by row [runs, each * queries, width], or by family [families, ...]."""

    grouped: int
    """Key heads."""
    each: int
    """Query heads per key head."""
    bucket: Bucket

    @property
    def runs(self) -> int:
        return self.families * self.bucket.rows

    @property
    def families(self) -> int:
        return self.grouped * self.bucket.families

    def rows(self, x: Tensor) -> Tensor:
        """[heads, slots, width] -> [runs, each * queries, width]"""
        x = x.view(self.grouped, self.each, self.bucket.families, self.bucket.rows, -1, x.shape[-1])
        return x.permute(0, 2, 3, 1, 4, 5).reshape(self.runs, -1, x.shape[-1])

    def heads(self, x: Tensor) -> Tensor:
        """The way back."""
        x = x.view(self.grouped, self.bucket.families, self.bucket.rows, self.each, -1, x.shape[-1])
        return x.permute(0, 3, 1, 2, 4, 5).reshape(self.grouped * self.each, -1, x.shape[-1])

    def together(self, x: Tensor) -> Tensor:
        """[runs, n, m] -> [families, rows * n, m]"""
        return x.reshape(self.families, -1, x.shape[-1])

    def own(self, x: Tensor) -> Tensor:
        """Of keys or values [key heads, tokens, width]: [runs, keys, width]"""
        return x.index_select(1, self.bucket.own.places).view(self.runs, -1, x.shape[-1])

    def before(self, x: Tensor) -> Tensor:
        """[families, shared keys, width]"""
        assert self.bucket.before is not None
        return x.index_select(1, self.bucket.before.places).view(self.families, -1, x.shape[-1])


def _forward(shape: _Shape, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """(result [heads, slots, width], attention weights [runs, each * queries, shared and own keys])"""
    import torch

    q = shape.rows(q.index_select(1, shape.bucket.queries.places))
    scores = q @ shape.own(k).mT
    if shape.bucket.before is not None:
        first = shape.together(q) @ shape.before(k).mT
        scores = torch.cat([first.view(*scores.shape[:2], -1), scores], dim=-1)
    mask = (mask.repeat(1, 1, shape.each, 1) if shape.each > 1 else mask).flatten(0, 1)
    weights = torch.softmax(scores.view(-1, *mask.shape).add_(mask), dim=-1).view(scores.shape)
    length = _own_keys(shape)
    found = weights[..., -length:] @ shape.own(v)
    if shape.bucket.before is not None:
        found += (shape.together(weights[..., :-length]) @ shape.before(v)).view(found.shape)
    return shape.heads(found), weights


def _own_keys(shape: _Shape) -> int:
    return len(shape.bucket.own.places) // (shape.bucket.families * shape.bucket.rows)


@dataclass(frozen=True)
class _Slopes:
    """Gradients of one bucket: of queries [heads, slots, width]; of keys and values, own and shared."""

    q: Tensor
    own: tuple[Tensor, Tensor]
    """[key heads, slots, width]"""
    before: tuple[Tensor, Tensor] | None


def _backward(shape: _Shape, q: Tensor, k: Tensor, v: Tensor, weights: Tensor, grad: Tensor) -> _Slopes:
    """grad: [heads, queries + 1, width], the last being zero, for padding."""
    import torch

    q = shape.rows(q.index_select(1, shape.bucket.queries.places))
    grad = shape.rows(grad.index_select(1, shape.bucket.answers))
    length, grouped = _own_keys(shape), shape.grouped
    own_k = shape.own(k)
    slopes = grad @ shape.own(v).mT
    if shape.bucket.before is not None:
        first = shape.together(grad) @ shape.before(v).mT
        slopes = torch.cat([first.view(*slopes.shape[:2], -1), slopes], dim=-1)
    slopes = torch._softmax_backward_data(slopes, weights, -1, weights.dtype)
    dq = slopes[..., -length:] @ own_k
    dk, dv = slopes[..., -length:].mT @ q, weights[..., -length:].mT @ grad
    before = None
    if shape.bucket.before is not None:
        first, shared = shape.together(slopes[..., :-length]), shape.together(weights[..., :-length])
        dq += (first @ shape.before(k)).view(dq.shape)
        pair = first.mT @ shape.together(q), shared.mT @ shape.together(grad)
        before = pair[0].view(grouped, -1, dq.shape[-1]), pair[1].view(grouped, -1, dq.shape[-1])
    own = dk.view(grouped, -1, dq.shape[-1]), dv.view(grouped, -1, dq.shape[-1])
    return _Slopes(shape.heads(dq), own, before)


def _of_tokens(layout: Layout, slopes: Sequence[_Slopes], which: int) -> Tensor:
    """The gradient of keys (0) or values (1), [key heads, tokens, width]."""
    import torch

    own = [one.own[which] for one in slopes]
    nothing = own[0].new_zeros(own[0].shape[0], 1, own[0].shape[2])
    total = torch.cat([*own, nothing], dim=1).index_select(1, layout.keys)
    for bucket, one in zip(layout.buckets, slopes, strict=True):
        if bucket.before is not None and one.before is not None:
            shared = one.before[which].index_select(1, bucket.before.sources)
            total.index_add_(1, bucket.before.targets, shared)
    return total


@cache
def _function() -> Any:
    import torch

    class ByProducts(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, q: Any, k: Any, v: Any, layout: Layout, masks: Any) -> Any:
            shapes = [_Shape(len(k), len(q) // len(k), bucket) for bucket in layout.buckets]
            found = [_forward(shape, q, k, v, mask) for shape, mask in zip(shapes, masks, strict=True)]
            ctx.save_for_backward(q, k, v, *(weights for _, weights in found))
            ctx.layout, ctx.shapes = layout, shapes
            slots = torch.cat([result for result, _ in found], dim=1)
            return slots.index_select(1, layout.back.places).transpose(0, 1).flatten(1)

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            q, k, v, *weights = ctx.saved_tensors
            heads, queries, width = q.shape
            padded = grad.new_zeros(heads, queries + 1, width)
            padded[:, :-1] = grad.view(queries, heads, width).transpose(0, 1)
            slopes = [
                _backward(shape, q, k, v, some, padded)
                for shape, some in zip(ctx.shapes, weights, strict=True)
            ]
            dq = torch.cat([one.q for one in slopes], dim=1).index_select(1, ctx.layout.back.places)
            return dq, *(_of_tokens(ctx.layout, slopes, which) for which in (0, 1)), None, None

    return ByProducts
