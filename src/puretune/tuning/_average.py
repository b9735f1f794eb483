"""The exponential moving average of an adapter's weights over the steps of its training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import Parameter

from puretune.models import Lora


class Average:
    """``average <- decay x average + (1 - decay) x weights`` after every step, beginning with the weights
    before the first; without a decay, the weights as they are.

    Nothing corrects for the beginning: that the average stays near where training started is what it is for.
    """

    def __init__(self, weights: Sequence[Tensor], decay: float | None) -> None:
        self.held = [] if decay is None else [one.detach().clone() for one in weights]
        """Empty without a decay."""
        self._weights, self._decay = weights, decay

    @torch.no_grad()
    def add(self) -> None:
        """Another step is done."""
        for one, weights in zip(self.held, self._weights, strict=False):
            one.lerp_(weights.to(one.dtype), 1 - (self._decay or 0.0))

    def of(self, lora: Lora) -> Lora:
        """The adapter whose weights these are, averaged; itself without a decay."""
        if not self.held:
            return lora
        each = iter([Parameter(one) for one in self.held])
        return replace(lora, pairs={name: (next(each), next(each)) for name in lora.pairs})
