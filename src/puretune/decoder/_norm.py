"""RMSNorm (Zhang and Sennrich, arXiv 1910.07467), its gradient by hand: fewer passes over memory.

The weight is frozen and gets no gradient.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import rms_norm

from puretune.models import at_least_float32


def normed(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """x [..., width] over its root mean square, times ``weight`` [width]."""
    if not x.requires_grad:
        return rms_norm(x, weight.shape, weight, epsilon)
    result: Tensor = _Normed.apply(x, weight, epsilon)  # type: ignore[no-untyped-call]
    return result


class _Normed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any, epsilon: float) -> Any:
        ctx.save_for_backward(x, weight)
        ctx.epsilon = epsilon
        return rms_norm(x, weight.shape, weight, epsilon)

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        x, weight = ctx.saved_tensors
        wide, grad = at_least_float32(x), at_least_float32(grad * weight)
        inverse = torch.linalg.vecdot(wide, wide).div_(x.shape[-1]).add_(ctx.epsilon).rsqrt_().unsqueeze(-1)
        unit = wide * inverse
        mean = torch.linalg.vecdot(grad, unit).div_(x.shape[-1]).unsqueeze(-1)
        return unit.mul_(mean).sub_(grad).mul_(-inverse).to(x.dtype), None, None
