"""The packed route: the decoder driven over a pack, with every adapter on its own tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from puretune.decoder import Attend, Decoder, decoder_of, in_detail
from puretune.models import at_least_float32
from puretune.tuning.gang._adapted import Adapted
from puretune.tuning.gang._attention import attended
from puretune.tuning.gang._buckets import layout_of
from puretune.tuning.gang._options import GangOptions
from puretune.tuning.gang._packing import Pack, Part, packed
from puretune.tuning.gang._stack import Leaves

_LOGITS = 1 << 22
"""Numbers in one chunk of logits."""


def can_pack(model: Any, layers: Sequence[str]) -> bool:
    """Whether the decoder computes this model exactly, with adapters on these layers."""
    return in_detail(model) and all(name.startswith("model.layers.") for name in layers)


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
        decoder = decoder_of(self.model, pack.longest, partial(Adapted, pack, leaves))
        wanted = pack.places if options.last_layer else None
        hidden = decoder.hidden(pack.ids, pack.positions, self._attend(decoder, pack), wanted, recompute)
        if options.head:
            asked = hidden if options.last_layer else hidden[pack.places]
            return _chunked_losses(asked, pack.targets, decoder)
        if options.last_layer:
            hidden = hidden.new_zeros(len(pack.ids), hidden.shape[1]).index_copy(0, pack.places, hidden)
        return _losses(decoder.output(hidden, None)[0][pack.places], pack.targets)

    def _attend(self, decoder: Decoder, pack: Pack) -> Attend:
        windows = {layer.window for layer in decoder.layers}
        last = len(decoder.layers) - 1 if self.options.last_layer else None
        layouts = {only: layout_of(pack, trained_only=only) for only in {False, last is not None}}
        masks = {
            (only, window): layout.masks(window, decoder.embedding)
            for only, layout in layouts.items()
            for window in windows
        }

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            only = layer == last
            seen = masks[only, decoder.layers[layer].window]
            return attended(q, k, v, layouts[only], seen, self.attention)

        return attend


def _losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of each token, in float32 at least."""
    return cross_entropy(at_least_float32(logits), targets, reduction="none")


def _chunked_losses(hidden: Tensor, targets: Tensor, decoder: Decoder) -> Tensor:
    """From hidden [tokens, size]. Logits are made some tokens at a time and not kept."""
    chunk = max(1, _LOGITS // len(decoder.embedding))
    result: Tensor = _ChunkedLosses.apply(  # type: ignore[no-untyped-call]
        hidden, targets, lambda x: decoder.output(x, None)[0], chunk
    )
    return result


class _ChunkedLosses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Any, targets: Any, head: Callable[[Tensor], Tensor], chunk: int) -> Any:
        losses, slopes = [], []
        for part, wanted in zip(hidden.split(chunk), targets.split(chunk), strict=True):
            with torch.enable_grad():
                part = part.detach().requires_grad_(True)
                loss = _losses(head(part), wanted)
                slopes += torch.autograd.grad(loss.sum(), part)
            losses.append(loss.detach())
        ctx.save_for_backward(torch.cat(slopes))
        return torch.cat(losses)

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        (slopes,) = ctx.saved_tensors
        return (slopes * grad.unsqueeze(-1)).to(slopes.dtype), None, None, None
