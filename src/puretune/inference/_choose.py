"""Choosing the next token: greedy, or by inverse transform from a row's own stream of uniform numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from puretune.inference._types import Decoding

if TYPE_CHECKING:
    from torch import Tensor


def uniforms(prompt: Sequence[int], decoding: Decoding, sample: int) -> Tensor:
    """One number in [0, 1) per new token, float64; a function of (seed, prompt, sample) alone."""
    import torch

    generator = torch.Generator().manual_seed(stream_seed(prompt, decoding, sample))
    return torch.rand(decoding.max_new_tokens, generator=generator, dtype=torch.float64)


def stream_seed(prompt: Sequence[int], decoding: Decoding, sample: int) -> int:
    """The seed (56 bits) of one answer's own stream, whatever else is asked."""
    text = f"{decoding.seed}/{sample}/{','.join(map(str, prompt))}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


def choose(logits: Tensor, decoding: Decoding, drawn: Tensor | None) -> Tensor:
    """Token ids [rows] from logits [rows, vocabulary]; ``drawn`` [rows]: uniform numbers (greedy: None)."""
    import torch

    if drawn is None:
        return logits.argmax(-1)
    probabilities = (logits.double() / decoding.temperature).softmax(-1)
    if decoding.top_p < 1:
        ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
        outside = ordered.cumsum(-1) - ordered >= decoding.top_p
        outside[:, 0] = False
        probabilities = probabilities.scatter(-1, order, ordered.masked_fill(outside, 0.0))
    mass = probabilities.cumsum(-1)
    total = mass[:, -1:]
    # below the total even when the product rounds up: no token stands beyond the last possible one
    point = torch.minimum(drawn.unsqueeze(-1) * total, total.nextafter(torch.zeros_like(total)))
    return torch.searchsorted(mass, point, right=True).squeeze(-1)
