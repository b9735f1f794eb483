"""The forward pass: embedding, blocks of attention and gated feed-forward, head.

Tokens of any sequences lie end to end. What a token attends to is the caller's: ``attend`` gets a layer's
queries, keys and values and returns what they come to. The layers' linear parts may carry adapters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import silu
from torch.utils.checkpoint import checkpoint

from puretune.decoder._linear import Linears
from puretune.decoder._norm import normed

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]
"""(layer, queries [asking, heads, width], keys and values [tokens, key heads, width])
-> [asking, heads * width]; the scale, one over the root of ``width``, is its own to apply."""

_Angles = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Layer:
    """One block: attention and gated feed-forward, each behind an RMSNorm weight [size]."""

    attention_norm: Tensor
    qkv: Linears
    head_norms: tuple[Tensor, ...]
    """Qwen 3: norms of every head's queries and of its keys, [width] each; others have none."""
    o: Linears
    mlp_norm: Tensor
    gate_up: Linears
    down: Linears
    window: int | None
    """How many tokens a token attends to, itself included; None: all before it."""


@dataclass(frozen=True)
class Decoder:
    """The tensors of a model."""

    embedding: Tensor
    """[vocabulary, size]"""
    layers: tuple[Layer, ...]
    norm: Tensor
    output: Linears
    epsilon: float
    key_heads: int
    width: int
    """Of one head."""
    cos: Tensor
    """[positions, width]"""
    sin: Tensor
    """[positions, width], its first half negated: turned, x is x * cos + its swapped halves * sin."""

    def hidden(
        self,
        ids: Tensor,
        positions: Tensor,
        attend: Attend,
        wanted: Tensor | None = None,
        recompute: bool = False,
    ) -> Tensor:
        """[tokens, size] after the last norm, from ids and positions [tokens].

        ``wanted`` [some]: only these tokens' outcome is asked for, [some, size]; in the last layer nothing
        else asks then, and ``attend`` gets only their queries there. ``recompute``: activations are computed
        again for the gradient instead of being kept.
        """
        angles = self.cos[positions].unsqueeze(1), self.sin[positions].unsqueeze(1)
        x = self.embedding[ids]
        for number in range(len(self.layers)):
            places = wanted if number == len(self.layers) - 1 else None
            if recompute:
                x = checkpoint(self._layer, number, x, angles, attend, places, use_reentrant=False)
            else:
                x = self._layer(number, x, angles, attend, places)
        return normed(x, self.norm, self.epsilon)

    def _layer(
        self, number: int, x: Tensor, angles: _Angles, attend: Attend, places: Tensor | None
    ) -> Tensor:
        layer, turns = self.layers[number], angles
        y = normed(x, layer.attention_norm, self.epsilon)
        if places is None:
            q, k, v = layer.qkv(y, None)
        else:
            (q,), (k, v) = layer.qkv[:1](y.index_select(0, places), places), layer.qkv[1:](y, None)
            x, turns = x.index_select(0, places), (angles[0][places], angles[1][places])
        q, k, v = (part.view(len(part), -1, self.width) for part in (q, k, v))
        if layer.head_norms:
            q, k = (normed(*pair, self.epsilon) for pair in zip((q, k), layer.head_norms, strict=True))
        found = attend(number, _turned(q, *turns), _turned(k, *angles), v)
        x = x + layer.o(found, places)[0]
        gate, up = layer.gate_up(normed(x, layer.mlp_norm, self.epsilon), places)
        return x + layer.down(silu(gate) * up, places)[0]


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions (Su et al., arXiv 2104.09864) on [tokens, heads, width]."""
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin)
