"""The adapters of a gang as one matrix, and the optimiser over it: every row is one adapter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import Parameter

from puretune.models import Lora
from puretune.tuning._types import Recipe

_BETAS = (0.9, 0.999)
_EPSILON = 1e-8


@dataclass(frozen=True)
class Leaves:
    """The weights of some adapters of a gang, ready for a backward pass."""

    pairs: Mapping[str, tuple[Tensor, Tensor]]
    """Per layer A [adapters, rank, inputs] and B [adapters, outputs, rank]."""
    scaling: float

    def flat(self) -> list[Tensor]:
        return [matrix for pair in self.pairs.values() for matrix in pair]


class Stack:
    """Adapters of equal shape: ``weights`` and AdamW's moments, each [adapters, numbers per adapter].

    AdamW as ``torch.optim.AdamW`` computes it, gradients clipped as by ``clip_grad_norm_``, row by row.
    """

    def __init__(self, loras: Sequence[Lora], decays: Sequence[float | None] = ()) -> None:
        """``decays``: of the moving average of each adapter's weights, where it is kept in place of them."""
        self.like = loras[0]
        flat = [torch.cat([p.detach().flatten() for p in lora.parameters]) for lora in loras]
        self.weights = torch.stack(flat)
        self.first = torch.zeros_like(self.weights)
        self.second = torch.zeros_like(self.weights)
        self.average: Tensor | None = None
        if any(decays):
            self.average = self.weights.clone()
        self._decays = self.weights.new_tensor([decay or 0.0 for decay in decays]).unsqueeze(-1)
        self.done = 0
        """Optimiser steps so far."""

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def numbers(self) -> tuple[Tensor, Tensor, Tensor]:
        """Weights and both moments, each [adapters, numbers per adapter]."""
        return self.weights, self.first, self.second

    def leaves(self, first: int, last: int) -> Leaves:
        """Adapters ``first`` to ``last`` (exclusive) as views that ask for a gradient."""
        pieces = self._pieces(self.weights.detach()[first:last])
        for pair in pieces.values():
            for matrix in pair:
                matrix.requires_grad_(True)
        return Leaves(pieces, self.like.scaling)

    def lora(self, number: int) -> Lora:
        """One adapter, as it can be saved."""
        weights = self.weights if self.average is None else self.average
        pieces = self._pieces(weights[number : number + 1])
        pairs = {name: (Parameter(a[0]), Parameter(b[0])) for name, (a, b) in pieces.items()}
        return Lora(self.like.rank, self.like.alpha, self.like.targets, pairs, self.like.scaling)

    def step(self, gradients: Tensor, rates: Sequence[float], recipes: Sequence[Recipe]) -> None:
        """One optimiser step of every adapter. gradients: [adapters, numbers]; changed in place."""
        for row, recipe in zip(gradients, recipes, strict=True):
            if recipe.clip is not None:
                row.mul_((recipe.clip / (torch.linalg.vector_norm(row) + 1e-6)).clamp(max=1.0))
        self.done += 1
        rate = self.weights.new_tensor(rates).unsqueeze(1)
        decay = self.weights.new_tensor([recipe.weight_decay for recipe in recipes]).unsqueeze(1)
        self.weights.mul_(1 - rate * decay)
        self.first.lerp_(gradients, 1 - _BETAS[0])
        self.second.mul_(_BETAS[1]).addcmul_(gradients, gradients, value=1 - _BETAS[1])
        root = self.second.sqrt().div_(math.sqrt(1 - _BETAS[1] ** self.done)).add_(_EPSILON)
        self.weights.sub_(self.first.div(root).mul_(rate / (1 - _BETAS[0] ** self.done)))
        if self.average is not None:
            self.average.lerp_(self.weights, 1 - self._decays)

    def _pieces(self, weights: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        pieces, start = {}, 0
        for name, (a, b) in self.like.pairs.items():
            middle, end = start + a.numel(), start + a.numel() + b.numel()
            pieces[name] = (
                weights[:, start:middle].view(-1, *a.shape),
                weights[:, middle:end].view(-1, *b.shape),
            )
            start = end
        return pieces
