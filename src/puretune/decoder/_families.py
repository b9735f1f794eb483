"""The supported architectures, and how their tensors are read from a transformers model.

Models of another architecture, or changed in any way that this file does not know, stay with their own
module.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from puretune.decoder._decoder import Decoder, Layer
from puretune.decoder._linear import Linears
from puretune.models import LowRank

FAMILIES = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM")
"""Classes of transformers. Llama's is that of Llama 2 and 3, SmolLM, and many others."""
_STATIC_ROPE = ("default", "linear", "llama3", "yarn")
"""Rotary embeddings that depend on positions alone, not on the longest row of a batch."""

Join = Callable[[Sequence[str], Sequence[Any]], Linears]
"""(names, linear modules with the same inputs) -> how they are computed"""


def in_detail(model: Any, adapters: bool = False) -> bool:
    """Whether a transformers model is known in every detail: a supported architecture, without hooks or
    foreign layers. ``adapters``: what :func:`puretune.models.attached` puts on a layer is known too."""
    if type(model).__name__ not in FAMILIES or not type(model).__module__.startswith("transformers."):
        return False
    modules = list(model.modules())
    foreign = any(type(one).__module__.partition(".")[0] not in ("torch", "transformers") for one in modules)
    linear = [one for name, one in model.named_modules() if name.endswith(("_proj", "lm_head"))]
    hooks = [
        hook for one in modules for hook in (*one._forward_hooks.values(), *one._forward_pre_hooks.values())
    ]
    rope = (getattr(model.config, "rope_parameters", None) or {}).get("rope_type", "default")
    return (
        not foreign
        and model.config.hidden_act == "silu"
        and rope in _STATIC_ROPE
        and all(type(one) is nn.Linear for one in linear)
        and all(adapters and type(hook) is LowRank and hook.drop is None for hook in hooks)
        and "forward" not in vars(model)
    )


def decoder_of(model: Any, positions: int, join: Join) -> Decoder:
    """The tensors of a model that is known :func:`in_detail`, with room for that many positions."""
    body = model.model
    cos, sin = _table(body, positions)
    return Decoder(
        embedding=body.embed_tokens.weight,
        layers=tuple(_layer(f"model.layers.{n}", one, join) for n, one in enumerate(body.layers)),
        norm=body.norm.weight,
        output=join(["lm_head"], [model.lm_head]),
        epsilon=model.config.rms_norm_eps,
        key_heads=model.config.num_key_value_heads,
        width=body.layers[0].self_attn.head_dim,
        cos=cos,
        sin=sin,
    )


def window_of(attention: Any) -> int | None:
    """The sliding window of a layer's attention. Mistral states one for all layers in its configuration."""
    stated = getattr(attention.config, "sliding_window", None)
    found: int | None = getattr(attention, "sliding_window", stated)
    return found


def _layer(name: str, block: Any, join: Join) -> Layer:
    def linear(part: str, *kinds: str) -> Linears:
        names = [f"{part}.{kind}_proj" for kind in kinds]
        return join([f"{name}.{one}" for one in names], [block.get_submodule(one) for one in names])

    attention = block.self_attn
    norms = [one for one in ("q_norm", "k_norm") if hasattr(attention, one)]
    return Layer(
        attention_norm=block.input_layernorm.weight,
        qkv=linear("self_attn", "q", "k", "v"),
        head_norms=tuple(getattr(attention, one).weight for one in norms),
        o=linear("self_attn", "o"),
        mlp_norm=block.post_attention_layernorm.weight,
        gate_up=linear("mlp", "gate", "up"),
        down=linear("mlp", "down"),
        window=window_of(attention),
    )


def _table(body: Any, positions: int) -> tuple[Tensor, Tensor]:
    """Cosines and signed sines of the model's own rotary embedding."""
    weight = body.embed_tokens.weight
    with torch.no_grad():
        cos, sin = body.rotary_emb(weight, torch.arange(positions, device=weight.device).unsqueeze(0))
    half = sin.shape[-1] // 2
    return cos[0], torch.cat([-sin[0, :, :half], sin[0, :, half:]], dim=-1)
