"""Llama-like models as plain tensors: the same function as transformers' module, without its cost per call.

At a few million parameters the modules around the arithmetic take much of the time. What attention looks at
is the caller's: ``attend`` gets a layer's queries, keys and values and returns what they come to. Models that
this file does not know in every detail stay with their own module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, rms_norm, silu

from puretune.models._linear import Linears, joined, separate
from puretune.models._lora import LowRank
from puretune.models._size import is_small

Attend = Callable[[int, "Tensor", "Tensor", "Tensor"], "Tensor"]
"""(layer, queries [tokens, heads, width], keys and values [tokens, key heads, width])
-> [tokens, heads * width]"""

_KNOWN = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM")
_STATIC_ROPE = ("default", "linear", "llama3", "yarn")


@dataclass(frozen=True)
class Layer:
    """One block: attention and gated feed-forward, each behind an RMSNorm weight [size]."""

    attention_norm: Tensor
    qkv: Linears
    o: Linears
    mlp_norm: Tensor
    gate_up: Linears
    down: Linears


@dataclass(frozen=True)
class PlainLlama:
    """The tensors of a model; in full precision they are the module's own, not copies."""

    embedding: Tensor
    """[vocabulary, size]"""
    layers: tuple[Layer, ...]
    norm: Tensor
    output: Linears
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
        tokens = asking = len(ids)
        ids, positions = self._filled(ids), self._filled(positions)
        angles = turns = self.cos[positions].unsqueeze(1), self.sin[positions].unsqueeze(1)
        x = self.embedding[ids]
        for number, layer in enumerate(self.layers):
            y = self._normed(x, layer.attention_norm)
            if wanted is not None and number == len(self.layers) - 1:
                asking, places = len(wanted), self._filled(wanted)
                x, turns = x[places], (angles[0][places], angles[1][places])
                (q,), (k, v) = layer.qkv[:1](y[places]), layer.qkv[1:](y)
            else:
                q, k, v = layer.qkv(y)
            q, k = _turned(self._split(q), *turns), _turned(self._split(k), *angles)
            found = attend(number, q[:asking], k[:tokens], self._split(v)[:tokens])
            x = x + layer.o(self._filled(found))[0]
            gate, up = layer.gate_up(self._normed(x, layer.mlp_norm))
            x = x + layer.down(silu(gate) * up)[0]
        return self._normed(x, self.norm)[:asking]

    def head(self, x: Tensor) -> Tensor:
        """Logits [tokens, vocabulary] in float32, in which the largest is found faster."""
        return self.output(self._filled(x))[0][: len(x)].float()

    def _filled(self, x: Tensor) -> Tensor:
        """x [tokens, ...] with zeros behind it up to a round number of tokens, where the model is in half
        precision: oneDNN compiles a product for every number of tokens that it meets, which takes longer
        than a small product itself, and remembers a limited number of them."""
        if self.embedding.dtype == torch.float32:
            return x
        step = 1 << max(4, len(x).bit_length() - 4)  # an eighth of it at most
        return pad(x, (0, 0) * (x.dim() - 1) + (0, -len(x) % step))

    def _normed(self, x: Tensor, weight: Tensor) -> Tensor:
        return rms_norm(x, (x.shape[-1],), weight, self.epsilon)

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:-1], -1, self.width)


def can_be_plain(model: Any) -> bool:
    """Whether plain tensors are for this number format: float32, or bfloat16 on a CPU where the model is
    small enough for copies."""
    return model.dtype == torch.float32 or (
        model.dtype == torch.bfloat16 and model.device.type == "cpu" and is_small(model)
    )


def plain_llama(model: Any, positions: int) -> PlainLlama | None:
    """The tensors of a transformers model with room for that many positions; None if it is not of a kind
    that is known in every detail (another architecture, a sliding window, hooks or foreign layers).

    In bfloat16 layers with the same inputs are joined, and an adapter that is ``attached`` is in them.
    """
    half = model.dtype != torch.float32
    if not (can_be_plain(model) and _is_known(model, adapters=half)):
        return None
    join: Callable[[Sequence[Any]], Linears] = joined if half else separate
    config, body = model.config, model.model
    cos, sin = _table(body, positions)
    return PlainLlama(
        embedding=body.embed_tokens.weight,
        layers=tuple(_layer(one, join) for one in body.layers),
        norm=body.norm.weight,
        output=join([model.lm_head]),
        epsilon=config.rms_norm_eps,
        heads=config.num_attention_heads,
        key_heads=config.num_key_value_heads,
        width=body.layers[0].self_attn.head_dim,
        cos=cos,
        sin=sin,
    )


def _is_known(model: Any, adapters: bool) -> bool:
    """``adapters``: what ``attached`` puts on a layer is known too."""
    if type(model).__name__ not in _KNOWN or not type(model).__module__.startswith("transformers."):
        return False
    config = model.config
    window = getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True)
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    modules = list(model.modules())
    foreign = any(type(one).__module__.partition(".")[0] not in ("torch", "transformers") for one in modules)
    linear = [one for name, one in model.named_modules() if name.endswith(("_proj", "lm_head"))]
    hooks = [
        hook for one in modules for hook in (*one._forward_hooks.values(), *one._forward_pre_hooks.values())
    ]
    return (
        not (window or foreign)
        and config.hidden_act == "silu"
        and rope in _STATIC_ROPE
        and all(type(one) is nn.Linear for one in linear)
        and all(adapters and type(hook) is LowRank and hook.drop is None for hook in hooks)
        and "forward" not in vars(model)
    )


def _hooks(module: Any) -> Iterator[Any]:
    yield from module._forward_hooks.values()
    yield from module._forward_pre_hooks.values()


def _layer(block: Any, join: Callable[[Sequence[Any]], Linears]) -> Layer:
    attention, mlp = block.self_attn, block.mlp
    return Layer(
        attention_norm=block.input_layernorm.weight,
        qkv=join([attention.q_proj, attention.k_proj, attention.v_proj]),
        o=join([attention.o_proj]),
        mlp_norm=block.post_attention_layernorm.weight,
        gate_up=join([mlp.gate_proj, mlp.up_proj]),
        down=join([mlp.down_proj]),
    )


def _table(body: Any, positions: int) -> tuple[Tensor, Tensor]:
    """Cosines and signed sines of the model's own rotary embedding."""
    weight = body.embed_tokens.weight
    cos, sin = body.rotary_emb(weight, torch.arange(positions, device=weight.device).unsqueeze(0))
    half = sin.shape[-1] // 2
    return cos[0], torch.cat([-sin[0, :, :half], sin[0, :, half:]], dim=-1)


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions (Su et al., arXiv 2104.09864) on [tokens, heads, width]."""
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin)
