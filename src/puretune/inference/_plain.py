"""Rows of a Llama-like model held as plain tensors.

A prefix that all prompts share is computed once and stays one copy: attention to it is a product of all rows'
queries with the same keys (as in cascade inference, arXiv 2402.05099), joined with each row's own part in one
softmax. The rows' own keys and values lie as close together as their lengths allow, because attention waits
for memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from puretune.models import Attend, PlainLlama

if TYPE_CHECKING:
    from torch import Tensor

_SPARE = 16
"""Tokens of free room per row whenever the buffers are laid out anew."""


class PlainRows:
    """Implements ``Rows``. ``prefix``: what all prompts begin with."""

    def __init__(self, model: PlainLlama, prefix: Sequence[int], rows: int, refills: bool = True) -> None:
        import torch

        self.model = model
        self.refills = refills
        self.shared = len(prefix)
        self.device = model.embedding.device
        shape = (2, len(model.layers), rows, model.key_heads, 0, model.width)
        self.own = model.embedding.new_zeros(shape)
        """Keys and values of the rows' own tokens, by layer."""
        self.lengths = [0] * rows
        """Own tokens of each row."""
        with torch.inference_mode():
            self.prefix = self._prefix(prefix) if prefix else None

    def enter(self, rows: Sequence[int], prompts: Sequence[Sequence[int]]) -> Tensor:
        """Logits after the prompts, which end at different columns: what stands behind an end is ignored."""
        import torch
        from torch.nn.utils.rnn import pad_sequence

        own = [torch.tensor(prompt[self.shared :]) for prompt in prompts]
        for row, one in zip(rows, own, strict=True):
            self.lengths[row] = len(one)
        with torch.inference_mode():
            self._fit()
            ids = pad_sequence(own, batch_first=True).to(self.device)
            positions = torch.arange(self.shared, self.shared + ids.shape[1], device=self.device)
            ends = torch.tensor([len(one) - 1 for one in own], device=self.device)
            attend = self._entering(rows, ends, ids.shape[1])
            return self.model.head(self.model.hidden(ids, positions.expand_as(ids), attend, ends)[:, 0])

    def step(self, tokens: Sequence[int]) -> Tensor:
        """Logits after one more token per row."""
        import torch

        with torch.inference_mode():
            busy = [token >= 0 for token in tokens]
            at = [length if one else 0 for length, one in zip(self.lengths, busy, strict=True)]
            self.lengths = [place + 1 if one else 0 for place, one in zip(at, busy, strict=True)]
            if max(self.lengths) > self.own.shape[4]:
                self._fit()
            places = torch.tensor(at, device=self.device)
            ids = torch.tensor(tokens, device=self.device).clamp_(min=0).unsqueeze(1)
            positions = (places + self.shared).unsqueeze(1)
            return self.model.head(self.model.hidden(ids, positions, self._stepping(places))[:, 0])

    def keep(self, rows: Sequence[int]) -> bool:
        """Copies what remains; always possible."""
        self.lengths = [self.lengths[row] for row in rows]
        self._fit(rows)
        return True

    def _entering(self, rows: Sequence[int], ends: Tensor, width: int) -> Attend:
        import torch

        index = torch.tensor(rows, device=self.device)
        causal = self._causal(width)
        of_ends = causal[ends][:, None, None]

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            k, v = k.transpose(1, 2), v.transpose(1, 2)
            self.own[0, layer, index, :, :width] = k
            self.own[1, layer, index, :, :width] = v
            mask = causal if q.shape[1] == width else of_ends
            return attention(q, k, v, mask, self._shared(layer))

        return attend

    def _stepping(self, places: Tensor) -> Attend:
        import torch

        rows = torch.arange(len(places), device=self.device)
        seen = max(self.lengths)
        unseen = torch.arange(seen, device=self.device) > places.unsqueeze(1)
        mask = self.own.new_zeros(unseen.shape).masked_fill_(unseen, float("-inf"))[:, None, None]

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            keys, values = self.own[0, layer], self.own[1, layer]
            keys[rows, :, places], values[rows, :, places] = k[:, 0], v[:, 0]
            return attention(q, keys[:, :, :seen], values[:, :, :seen], mask, self._shared(layer))

        return attend

    def _prefix(self, ids: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        """Keys and values [key heads, tokens, width] of the shared tokens, layer by layer."""
        import torch

        kept: list[tuple[Tensor, Tensor]] = []
        causal = self._causal(len(ids))

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            k, v = k.transpose(1, 2), v.transpose(1, 2)
            kept.append((k[0].contiguous(), v[0].contiguous()))
            return attention(q, k, v, causal, None)

        tokens = torch.tensor(ids, device=self.device).unsqueeze(0)
        self.model.hidden(tokens, torch.arange(len(ids), device=self.device).unsqueeze(0), attend)
        return kept

    def _shared(self, layer: int) -> tuple[Tensor, Tensor] | None:
        return self.prefix[layer] if self.prefix is not None else None

    def _causal(self, tokens: int) -> Tensor:
        return self.own.new_full((tokens, tokens), float("-inf")).triu_(1)

    def _fit(self, rows: Sequence[int] | None = None) -> None:
        """Lay the buffers out anew (perhaps for some rows only) where they are too narrow or far too wide."""
        width, room = self.own.shape[4], max(self.lengths)
        if rows is None and room <= width <= room + 2 * _SPARE:
            return
        shape = (*self.own.shape[:2], len(self.lengths), self.own.shape[3], room + _SPARE, self.own.shape[5])
        new = self.own.new_zeros(shape)
        both = min(width, room)
        old = self.own[..., :both, :]
        new[..., :both, :] = old if rows is None else old[:, :, list(rows)]
        self.own = new


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, prefix: tuple[Tensor, Tensor] | None) -> Tensor:
    """[rows, tokens, heads * width] from queries [rows, tokens, heads, width], keys and values [rows, key
    heads, seen, width], and a prefix that every query sees: keys and values [key heads, prefix, width].

    ``mask`` is added to the scores: 0 or -inf, of a shape that broadcasts to [rows, 1, tokens, seen].
    """
    import torch

    rows, tokens, heads, width = q.shape
    key_heads, seen = k.shape[1:3]
    # the query heads of one key head stand behind one another as if they were more tokens
    q = (q * width**-0.5).view(rows, tokens, key_heads, heads // key_heads, width).permute(0, 2, 3, 1, 4)
    q = q.reshape(rows, key_heads, -1, width)
    scores = (q @ k.transpose(2, 3)).view(rows, key_heads, -1, tokens, seen)
    scores = scores.add_(mask.unsqueeze(-3)).view(rows, key_heads, -1, seen)
    if prefix is None:
        out = scores.softmax(-1, dtype=torch.float32).to(v.dtype) @ v
    else:
        out = _with_prefix(q, scores, v, *prefix)
    return out.view(rows, key_heads, -1, tokens, width).permute(0, 3, 1, 2, 4).flatten(2)


def _with_prefix(q: Tensor, scores: Tensor, v: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """One softmax over the prefix, which all rows' queries meet in one product, and the rows' own scores."""
    import torch

    rows, key_heads, queries, _ = q.shape
    together = q.transpose(0, 1).flatten(1, 2)
    common = (together @ keys.transpose(1, 2)).view(key_heads, rows, queries, -1).transpose(0, 1)
    weights = torch.cat([common, scores], -1).softmax(-1, dtype=torch.float32).to(v.dtype)
    first, own = weights[..., : keys.shape[1]], weights[..., keys.shape[1] :]
    whole = first.transpose(0, 1).flatten(1, 2) @ values
    return own @ v + whole.view(key_heads, rows, queries, -1).transpose(0, 1)
