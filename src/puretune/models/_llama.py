"""Llama-like models as plain tensors: the same function as transformers' module, without its cost per call.

At a few million parameters the modules around the arithmetic take much of the time. What attention looks at
is the caller's: ``attend`` gets a layer's queries, keys and values and returns what they come to. Models that
this file does not know in every detail stay with their own module.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

Attend = Callable[[int, "Tensor", "Tensor", "Tensor"], "Tensor"]
"""(layer, queries [tokens, heads, width], keys and values [tokens, key heads, width])
-> [tokens, heads * width]"""

_KNOWN = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM")
_STATIC_ROPE = ("default", "linear", "llama3", "yarn")


@dataclass(frozen=True)
class Linear:
    """A weight [outputs, inputs] and perhaps a bias [outputs]."""

    weight: Tensor
    bias: Tensor | None

    def __call__(self, x: Tensor) -> Tensor:
        from torch.nn.functional import linear

        return linear(x, self.weight, self.bias)


@dataclass(frozen=True)
class Layer:
    """One block: attention and gated feed-forward, each behind an RMSNorm weight [size]."""

    attention_norm: Tensor
    q: Linear
    k: Linear
    v: Linear
    o: Linear
    mlp_norm: Tensor
    gate: Linear
    up: Linear
    down: Linear


@dataclass(frozen=True)
class PlainLlama:
    """The tensors of a model; they are the module's own, not copies."""

    embedding: Tensor
    """[vocabulary, size]"""
    layers: tuple[Layer, ...]
    norm: Tensor
    head: Linear
    epsilon: float
    heads: int
    key_heads: int
    width: int
    """Of one head."""
    cos: Tensor
    """[positions, width]"""
    sin: Tensor
    """[positions, width], its first half negated: turned, x is x * cos + its swapped halves * sin."""

    def hidden(self, ids: Tensor, positions: Tensor, attend: Attend, wanted: Tensor | None = None) -> Tensor:
        """[tokens, size] after the last norm, from ids and positions [tokens] of any sequences.

        ``wanted`` [some]: only these tokens' outcome is asked for, [some, size]; in the last layer nothing
        else asks then, and ``attend`` gets only their queries there.
        """
        from torch.nn.functional import silu

        cos, sin = self.cos[positions].unsqueeze(1), self.sin[positions].unsqueeze(1)
        x = self.embedding[ids]
        for number, layer in enumerate(self.layers):
            y = self._normed(x, layer.attention_norm)
            k = _turned(self._split(layer.k(y)), cos, sin)
            v = self._split(layer.v(y))
            if wanted is not None and number == len(self.layers) - 1:
                x, y, cos, sin = x[wanted], y[wanted], cos[wanted], sin[wanted]
            q = _turned(self._split(layer.q(y)), cos, sin)
            x = x + layer.o(attend(number, q, k, v))
            y = self._normed(x, layer.mlp_norm)
            x = x + layer.down(silu(layer.gate(y)) * layer.up(y))
        return self._normed(x, self.norm)

    def _normed(self, x: Tensor, weight: Tensor) -> Tensor:
        from torch.nn.functional import rms_norm

        return rms_norm(x, (x.shape[-1],), weight, self.epsilon)

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:-1], -1, self.width)


def plain_llama(model: Any, positions: int) -> PlainLlama | None:
    """The tensors of a transformers model with room for so many positions; None where it is not of a kind
    that is known in every detail (another architecture, a sliding window, hooks or foreign layers)."""
    if not _is_known(model):
        return None
    config, body = model.config, model.model
    cos, sin = _table(body, positions)
    return PlainLlama(
        embedding=body.embed_tokens.weight,
        layers=tuple(_layer(one) for one in body.layers),
        norm=body.norm.weight,
        head=_linear(model.lm_head),
        epsilon=config.rms_norm_eps,
        heads=config.num_attention_heads,
        key_heads=config.num_key_value_heads,
        width=body.layers[0].self_attn.head_dim,
        cos=cos,
        sin=sin,
    )


def _is_known(model: Any) -> bool:
    from torch import nn

    if type(model).__name__ not in _KNOWN or not type(model).__module__.startswith("transformers."):
        return False
    config = model.config
    window = getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True)
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    modules = list(model.modules())
    linear = [one for name, one in model.named_modules() if name.endswith(("_proj", "lm_head"))]
    return (
        not window
        and config.hidden_act == "silu"
        and rope in _STATIC_ROPE
        and all(type(one) is nn.Linear for one in linear)
        and not any(one._forward_hooks or one._forward_pre_hooks for one in modules)
        and "forward" not in vars(model)
    )


def _layer(block: Any) -> Layer:
    attention, mlp = block.self_attn, block.mlp
    q, k, v, o = (_linear(getattr(attention, f"{name}_proj")) for name in "qkvo")
    gate, up, down = (_linear(getattr(mlp, f"{name}_proj")) for name in ("gate", "up", "down"))
    return Layer(
        block.input_layernorm.weight, q, k, v, o, block.post_attention_layernorm.weight, gate, up, down
    )


def _linear(module: Any) -> Linear:
    return Linear(module.weight, module.bias)


def _table(body: Any, positions: int) -> tuple[Tensor, Tensor]:
    """Cosines and signed sines of the model's own rotary embedding."""
    import torch

    weight = body.embed_tokens.weight
    cos, sin = body.rotary_emb(weight, torch.arange(positions, device=weight.device).unsqueeze(0))
    half = sin.shape[-1] // 2
    return cos[0], torch.cat([-sin[0, :, :half], sin[0, :, half:]], dim=-1)


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions (Su et al., arXiv 2104.09864) on [tokens, heads, width]."""
    import torch

    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin)
