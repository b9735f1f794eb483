"""The packed route: the decoder driven over a pack, with every adapter on its own tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from puretune.decoder import Attend, Decoder, Join, decoder_of, in_detail, separate
from puretune.tuning._dropout import DropoutStreams
from puretune.tuning._rows import Row
from puretune.tuning._token_losses import Reference, TokenLosses, referring
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
        rows = [row for part in parts for row in part.rows]
        losses = TokenLosses(rows, self.model.device, self._reference(referring(rows)))
        pack = self._packed(parts)
        hidden, decoder = self._hidden(pack, partial(Adapted, pack, leaves), recompute)
        if self.options.head:
            chunk = max(1, _LOGITS // len(decoder.embedding))
            head = partial(_output, decoder)
            return _ChunkedLosses.apply(hidden, losses, head, chunk)  # type: ignore[no-untyped-call, no-any-return]
        everywhere = hidden.new_zeros(len(pack.ids), hidden.shape[1]).index_copy(0, pack.places, hidden)
        return losses(_output(decoder, everywhere)[pack.places])

    def _reference(self, rows: tuple[Row, ...]) -> Reference | None:
        """What the base says to rows, no adapter on it; logits are made when they are asked for."""
        if not rows:
            return None
        pack = self._packed([Part(rows, 0, DropoutStreams(0, 0, 0.0), 1.0)])
        with torch.no_grad():
            hidden, decoder = self._hidden(pack, separate, recompute=False)
        return Reference(rows, lambda tokens: _output(decoder, hidden[tokens]))

    def _packed(self, parts: Sequence[Part]) -> Pack:
        return packed(parts, self.model.device, self.options.share_prefix, self.options.pack)

    def _hidden(self, pack: Pack, join: Join, recompute: bool) -> tuple[Tensor, Decoder]:
        """[trained, size] of the tokens that predict a trained one, and the decoder that made them."""
        decoder, only = decoder_of(self.model, pack.longest, join), self.options.last_layer
        wanted = pack.places if only else None
        hidden = decoder.hidden(pack.ids, pack.positions, self._attend(decoder, pack), wanted, recompute)
        return hidden if only else hidden[pack.places], decoder

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


def _output(decoder: Decoder, hidden: Tensor) -> Tensor:
    """Logits [tokens, vocabulary] from hidden [tokens, size]."""
    return decoder.output(hidden, None)[0]


class _ChunkedLosses(torch.autograd.Function):
    """From hidden [tokens, size]. Logits are made some tokens at a time and not kept."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Any, losses: TokenLosses, head: Callable[[Tensor], Tensor], chunk: int
    ) -> Any:
        found, slopes = [], []
        for number, part in enumerate(hidden.split(chunk)):
            with torch.enable_grad():
                part = part.detach().requires_grad_(True)
                loss = losses(head(part), number * chunk)
                slopes += torch.autograd.grad(loss.sum(), part)
            found.append(loss.detach())
        ctx.save_for_backward(torch.cat(slopes))
        return torch.cat(found)

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        (slopes,) = ctx.saved_tensors
        return (slopes * grad.unsqueeze(-1)).to(slopes.dtype), None, None, None
