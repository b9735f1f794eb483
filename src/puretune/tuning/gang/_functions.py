"""The steps of a forward pass whose gradients are written by hand: less memory, fewer passes over it.

Weights of the base are frozen, so that nothing here computes their gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from puretune.tuning.loop import at_least_float32

if TYPE_CHECKING:
    from torch import Tensor


def lora_added(base: Tensor, x: Tensor, a: Tensor, b: Tensor, scaling: float, ends: Sequence[int]) -> Tensor:
    """``base + scaling * x A' B'`` with each adapter's matrices on its own tokens; may overwrite ``base``.

    base: [tokens, outputs]; x: [tokens, inputs]; a: [adapters, rank, inputs]; b: [adapters, outputs, rank];
    ends: where the tokens of each adapter end.
    """
    result: Tensor = _lora_added().apply(base, x, a, b, scaling, tuple(ends))
    return result


def rms_normed(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """x [..., width] over its root mean square, in float32 as transformers computes it, times ``weight``."""
    result: Tensor = _normed().apply(x, weight, epsilon)
    return result


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """[tokens, heads, width] -> [heads, tokens, width], turned by the angles [tokens, width / 2]."""
    result: Tensor = _rotated().apply(x, cos, sin)
    return result


def taken(x: Tensor, places: Tensor, targets: Tensor, sources: Tensor) -> Tensor:
    """x [groups, tokens, width] at ``places`` along its tokens.

    A place that occurs twice gets the gradient of one occurrence only: that of ``targets[i]`` comes from
    ``sources[i]`` of the result. Padding thus costs nothing.
    """
    result: Tensor = _taken().apply(x, places, targets, sources)
    return result


def token_losses(hidden: Tensor, targets: Tensor, head: Any, chunk: int) -> Tensor:
    """Cross-entropy of each token, in float32 at least: hidden [tokens, width], targets [tokens].

    Logits are made ``chunk`` tokens at a time and not kept.
    """
    result: Tensor = _losses().apply(hidden, targets, head, chunk)
    return result


@cache
def _lora_added() -> Any:
    import torch

    class LoraAdded(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, base: Any, x: Any, a: Any, b: Any, scaling: float, ends: Any) -> Any:
            x = x.to(a.dtype)
            low = x.new_empty(len(x), a.shape[1])
            result = base if base.dtype == a.dtype else base.to(a.dtype)
            sizes = [end - start for start, end in zip((0, *ends), ends, strict=False)]
            b = b * scaling
            each = (m.split(sizes) for m in (x, low, result))
            for x_k, low_k, result_k, a_k, b_k in zip(*each, a.mT.unbind(), b.mT.unbind(), strict=True):
                torch.mm(x_k, a_k, out=low_k)
                result_k.addmm_(low_k, b_k)
            ctx.save_for_backward(x, low, a, b)
            ctx.scaling, ctx.sizes = scaling, sizes
            if result is base:
                ctx.mark_dirty(base)
            return result.to(base.dtype)

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            x, low, a, b = ctx.saved_tensors
            full = grad.to(a.dtype)
            da, db = (torch.empty(m.shape, dtype=m.dtype, device=m.device) for m in (a, b))
            dx = torch.empty_like(x) if ctx.needs_input_grad[1] else None
            dlow = torch.empty_like(low)
            each = (m.split(ctx.sizes) for m in (x, low, full, dlow))
            for x_k, low_k, full_k, dlow_k, b_k, da_k, db_k in zip(
                *each, b.unbind(), da.unbind(), db.unbind(), strict=True
            ):
                torch.mm(full_k, b_k, out=dlow_k)
                torch.mm(dlow_k.T, x_k, out=da_k)
                torch.mm(full_k.T, low_k, out=db_k)
            db.mul_(ctx.scaling)
            if dx is not None:
                each = (torch.split(m, ctx.sizes) for m in (dlow, dx))
                for dlow_k, dx_k, a_k in zip(*each, a.unbind(), strict=True):
                    torch.mm(dlow_k, a_k, out=dx_k)
            return grad, None if dx is None else dx.to(grad.dtype), da, db, None, None

    return LoraAdded


@cache
def _normed() -> Any:
    import torch

    class Normed(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, weight: Any, epsilon: float) -> Any:
            wide = at_least_float32(x)
            inverse = torch.linalg.vecdot(wide, wide).div_(x.shape[-1]).add_(epsilon).rsqrt_().unsqueeze(-1)
            ctx.save_for_backward(x, weight, inverse)
            return (wide * inverse).to(x.dtype) * weight

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            x, weight, inverse = ctx.saved_tensors
            unit = at_least_float32(x) * inverse
            grad = at_least_float32(grad * weight)
            mean = torch.linalg.vecdot(grad, unit).div_(x.shape[-1]).unsqueeze(-1)
            return unit.mul_(mean).sub_(grad).mul_(-inverse).to(x.dtype), None, None

    return Normed


@cache
def _rotated() -> Any:
    import torch

    def turn(x: Any, cos: Any, sin: Any, out: Any) -> Any:
        half = x.shape[-1] // 2
        low, high = x[..., :half], x[..., half:]
        torch.mul(low, cos, out=out[..., :half]).addcmul_(high, sin, value=-1)
        torch.mul(high, cos, out=out[..., half:]).addcmul_(low, sin)
        return out

    class Rotated(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, cos: Any, sin: Any) -> Any:
            ctx.save_for_backward(cos, sin)
            tokens, heads, width = x.shape
            return turn(x.transpose(0, 1), cos, sin, x.new_empty(heads, tokens, width))

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            cos, sin = ctx.saved_tensors
            heads, tokens, width = grad.shape
            back = grad.new_empty(tokens, heads, width)
            turn(grad, cos, -sin, back.transpose(0, 1))
            return back, None, None

    return Rotated


@cache
def _taken() -> Any:
    import torch

    class Taken(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, places: Any, targets: Any, sources: Any) -> Any:
            ctx.save_for_backward(targets, sources)
            ctx.tokens = x.shape[1]
            return x.index_select(1, places)

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            targets, sources = ctx.saved_tensors
            groups, _, width = grad.shape
            back = grad.new_zeros(groups, ctx.tokens, width)
            return back.index_copy_(1, targets, grad.index_select(1, sources)), None, None, None

    return Taken


@cache
def _losses() -> Any:
    import torch
    from torch.nn.functional import cross_entropy

    class Losses(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, hidden: Any, targets: Any, head: Any, chunk: int) -> Any:
            losses, slopes = [], []
            for part, wanted in zip(hidden.split(chunk), targets.split(chunk), strict=True):
                with torch.enable_grad():
                    part = part.detach().requires_grad_(True)
                    loss = cross_entropy(at_least_float32(head(part)), wanted, reduction="none")
                    slopes += torch.autograd.grad(loss.sum(), part)
                losses.append(loss.detach())
            ctx.save_for_backward(torch.cat(slopes))
            return torch.cat(losses)

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            (slopes,) = ctx.saved_tensors
            return (slopes * grad.unsqueeze(-1)).to(slopes.dtype), None, None, None

    return Losses
