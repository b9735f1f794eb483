"""Choosing the next token: greedy, or by inverse transform from a row's own stream of uniform numbers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from puretune.inference._finite import not_finite
from puretune.inference._types import Decoding, stream_seed


def uniforms(prompt: Sequence[int], decoding: Decoding, sample: int) -> Tensor:
    """One number in [0, 1) per new token, float64; a function of (seed, prompt, sample) alone."""
    generator = torch.Generator().manual_seed(stream_seed(prompt, decoding, sample))
    return torch.rand(decoding.max_new_tokens, generator=generator, dtype=torch.float64)


def choose(logits: Tensor, decoding: Decoding, drawn: Tensor | None) -> Tensor:
    """Token ids [rows] from logits [rows, vocabulary]; ``drawn`` [rows]: uniform numbers (greedy: None).

    NotFinite where a row has no finite largest logit: NaN counts as the largest.
    """
    if drawn is None:
        largest = logits.argmax(-1)
        _require_finite(logits.gather(-1, largest.unsqueeze(-1)))
        return largest
    probabilities = (logits.double() / decoding.temperature).softmax(-1)
    if decoding.top_p < 1:
        ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
        outside = ordered.cumsum(-1) - ordered >= decoding.top_p
        outside[:, 0] = False
        probabilities = probabilities.scatter(-1, order, ordered.masked_fill(outside, 0.0))
    mass = probabilities.cumsum(-1)
    total = mass[:, -1:]
    _require_finite(total)
    # below the total even when the product rounds up: no token stands beyond the last possible one
    point = torch.minimum(drawn.unsqueeze(-1) * total, total.nextafter(torch.zeros_like(total)))
    return torch.searchsorted(mass, point, right=True).squeeze(-1)


def _require_finite(numbers: Tensor) -> None:
    if not bool(numbers.isfinite().all()):
        raise not_finite()
