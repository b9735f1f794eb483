"""The packed route: Llama's decoder and its near relatives, driven layer by layer over a pack.

The arithmetic is transformers' (Llama, Mistral, Qwen 2, Qwen 3), with the modules' own weights; only which
tokens are computed differs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from puretune.tuning.gang._attention import attended
from puretune.tuning.gang._functions import lora_added, rms_normed, rotated, taken, token_losses
from puretune.tuning.gang._layout import Layout, layout_of
from puretune.tuning.gang._options import GangOptions
from puretune.tuning.gang._pack import Pack, Part, packed
from puretune.tuning.gang._stack import Leaves
from puretune.tuning.loop import at_least_float32

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

_FAMILIES = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM")
_LAYERS = "model.layers."
_LOGITS = 1 << 22
"""Numbers in one chunk of logits."""


def can_pack(model: Any, layers: Sequence[str]) -> bool:
    """Whether this decoder is one that the packed route computes exactly, with adapters on these layers."""
    return (
        type(model).__name__ in _FAMILIES
        and type(model).__module__.startswith("transformers.models.")
        and all(name.startswith(_LAYERS) for name in layers)
        and _rope_depends_on_positions_alone(model)
    )


def _rope_depends_on_positions_alone(model: Any) -> bool:
    return getattr(model.model.rotary_emb, "rope_type", None) in ("default", "linear", "llama3", "yarn")


class PackedRoute:
    """Losses of several adapters' rows in one pass over the decoder."""

    together = True

    def __init__(self, model: Any, options: GangOptions) -> None:
        self.model = model
        self.options = options
        on_cpu = model.device.type == "cpu"
        kind = options.attention
        self.attention = ("plain" if on_cpu else "sdpa") if kind == "auto" else kind

    def losses(self, parts: Sequence[Part], leaves: Leaves, recompute: bool) -> Tensor:
        """The loss of every trained token, in the order of the parts; differentiable in ``leaves``."""
        options = self.options
        pack = packed(parts, self.model.device, options.share_prefix, options.pack)
        run = _Pass(self.model, pack, leaves, self.attention, options)
        hidden = run.hidden(recompute)
        head = self.model.get_output_embeddings()
        chunk = max(1, _LOGITS // head.weight.shape[0])
        if options.head:
            return token_losses(hidden, pack.targets, head, chunk)
        logits = head(hidden if not options.last_layer else run.scattered(hidden))
        return _plain_losses(logits[pack.places], pack.targets)


def _plain_losses(logits: Tensor, targets: Tensor) -> Tensor:
    from torch.nn.functional import cross_entropy

    return cross_entropy(at_least_float32(logits), targets, reduction="none")


@dataclass(frozen=True)
class _Asking:
    """Which tokens a layer answers at, and what they see."""

    layout: Layout
    masks: dict[int | None, list[Tensor]]
    """By sliding window."""
    cos: Tensor
    sin: Tensor
    places: Tensor | None
    """Their places in the pack; None: all tokens."""
    ends: tuple[int, ...]


class _Pass:
    """One forward pass."""

    def __init__(self, model: Any, pack: Pack, leaves: Leaves, attention: str, options: GangOptions) -> None:
        import torch

        self.decoder, self.pack, self.leaves, self.kind = model.model, pack, leaves, attention
        self.options = options
        self.embedded = self.decoder.embed_tokens(pack.ids)
        with torch.no_grad():
            angles = self.decoder.rotary_emb(self.embedded.unsqueeze(0), pack.positions.unsqueeze(0))
        # the halves of an angle's row are equal
        self.cos, self.sin = (x[0].chunk(2, dim=-1)[0].contiguous() for x in angles)
        windows = {_window(layer) for layer in self.decoder.layers}
        self.all = self._asking(windows, None)
        self.trained = self._asking(windows, pack.places) if options.last_layer else self.all

    def _asking(self, windows: set[int | None], places: Tensor | None) -> _Asking:
        layout = layout_of(self.pack, places is not None)
        masks = {window: layout.masks(window, self.embedded) for window in windows}
        if places is None:
            return _Asking(layout, masks, self.cos, self.sin, None, self.pack.ends)
        return _Asking(layout, masks, self.cos[places], self.sin[places], places, self.pack.trained_ends)

    def hidden(self, recompute: bool) -> Tensor:
        """[trained, width], after the last norm (of all tokens, if the options say that the last layer or
        the head computes them all)."""
        from torch.utils.checkpoint import checkpoint

        x = self.embedded
        last = len(self.decoder.layers) - 1
        for number, layer in enumerate(self.decoder.layers):
            asking = self.trained if number == last else self.all
            if recompute:
                x = checkpoint(self._layer, layer, number, x, asking, use_reentrant=False)
            else:
                x = self._layer(layer, number, x, asking)
        if self.trained.places is None and self.options.head:
            x = _at(x, self.pack.places)
        return _norm(self.decoder.norm, x)

    def scattered(self, hidden: Tensor) -> Tensor:
        """Trained tokens' states [trained, width] put back among all tokens; zero elsewhere."""
        everywhere = hidden.new_zeros(len(self.pack.ids), hidden.shape[1])
        return everywhere.index_copy(0, self.pack.places, hidden)

    def _layer(self, layer: Any, number: int, x: Tensor, asking: _Asking) -> Tensor:
        name = f"{_LAYERS}{number}"
        inner = _norm(layer.input_layernorm, x)
        found = self._attention(layer.self_attn, f"{name}.self_attn", inner, asking)
        if asking.places is not None:
            x = _at(x, asking.places)
        x = x + self._linear(layer.self_attn.o_proj, f"{name}.self_attn.o_proj", found, asking)
        inner, mlp = _norm(layer.post_attention_layernorm, x), layer.mlp
        gate = self._linear(mlp.gate_proj, f"{name}.mlp.gate_proj", inner, asking)
        up = self._linear(mlp.up_proj, f"{name}.mlp.up_proj", inner, asking)
        return x + self._linear(mlp.down_proj, f"{name}.mlp.down_proj", mlp.act_fn(gate) * up, asking)

    def _attention(self, module: Any, name: str, x: Tensor, asking: _Asking) -> Tensor:
        asked = x if asking.places is None else _at(x, asking.places)
        q = self._linear(module.q_proj, f"{name}.q_proj", asked, asking)
        k = self._linear(module.k_proj, f"{name}.k_proj", x, self.all)
        v = self._linear(module.v_proj, f"{name}.v_proj", x, self.all)
        q, k, v = (part.view(len(part), -1, module.head_dim) for part in (q, k, v))
        if hasattr(module, "q_norm"):
            q, k = _norm(module.q_norm, q), _norm(module.k_norm, k)
        scale = module.scaling
        q, k = rotated(q, asking.cos * scale, asking.sin * scale), rotated(k, self.cos, self.sin)
        masks = asking.masks[_window_of(module)]
        return attended(q, k, v.transpose(0, 1).contiguous(), asking.layout, masks, self.kind)

    def _linear(self, module: Any, name: str, x: Tensor, asking: _Asking) -> Tensor:
        """The layer's output with the adapters on it; ``x``: the inputs of the asking tokens."""
        base: Tensor = module(x)
        if name not in self.leaves.pairs:
            return base
        mask = self.pack.mask(name, x.shape[-1], self.leaves.pairs[name][0])
        if mask is not None:
            x = x.to(mask.dtype) * (mask if asking.places is None else mask[asking.places])
        return lora_added(base, x, *self.leaves.pairs[name], self.leaves.scaling, asking.ends)


def _at(x: Tensor, places: Tensor) -> Tensor:
    """x [tokens, width] at different places."""
    import torch

    order = torch.arange(len(places), device=places.device)
    return taken(x.unsqueeze(0), places, places, order).squeeze(0)


def _norm(module: Any, x: Tensor) -> Tensor:
    return rms_normed(x, module.weight, module.variance_epsilon)


def _window(layer: Any) -> int | None:
    return _window_of(layer.self_attn)


def _window_of(attention: Any) -> int | None:
    """The sliding window of a layer. Mistral states one for all layers in its configuration."""
    if hasattr(attention, "sliding_window"):
        found: int | None = attention.sliding_window
        return found
    return getattr(attention.config, "sliding_window", None)
