"""Choosing the next token: greedy, or by inverse transform from a row's own stream of uniform numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from puretune.errors import CheckFailed
from puretune.inference._types import Decoding
from puretune.models import AdapterRef, described

if TYPE_CHECKING:
    from torch import Tensor


class NotFinite(CheckFailed):
    """A model's logits are not numbers: whatever it would say then is not its answer."""


def not_finite(who: str = "the model", tuned: bool = False) -> NotFinite:
    """The error that names who answers."""
    again = "tune it again with a lower recipe.learning_rate" if tuned else "use another model"
    return NotFinite(
        f"{who}: the logits are not finite (NaN or infinite), so there is no answer to measure. Answer with "
        f"the model's `dtype: float32`, or {again}."
    )


@contextmanager
def finite(adapter: AdapterRef | None) -> Iterator[None]:
    """Names who answers where logits in the block are not finite."""
    try:
        yield
    except NotFinite as error:
        raise not_finite(described(adapter), adapter is not None) from error


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
    """Token ids [rows] from logits [rows, vocabulary]; ``drawn`` [rows]: uniform numbers (greedy: None).

    NotFinite where a row has no finite largest logit: NaN counts as the largest.
    """
    import torch

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
