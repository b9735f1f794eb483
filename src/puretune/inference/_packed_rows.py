"""Rows of a Llama-like model held as plain tensors.

New tokens of all rows are laid end to end, as many as each row has, and go through the layers without
padding; only attention's queries are padded. A prefix that all prompts share is computed once and stays one
copy: attention to it is a product of all rows' queries with the same keys (as in cascade inference, arXiv
2402.05099), joined with each row's own part in one softmax. The rows' own keys and values lie as close
together as their lengths allow, because attention waits for memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from puretune.models import Attend, PlainLlama

_SPARE = 16
"""Tokens of free room per row whenever the buffers are laid out anew."""

_NEAR = 5 << 19
"""Bytes of scores that stay near a processor: attention behind a prefix takes more rows in parts."""


class PackedRows:
    """Implements ``Rows``. ``prefix``: what all prompts begin with."""

    def __init__(self, model: PlainLlama, prefix: Sequence[int], rows: int, refills: bool = True) -> None:
        self.model = model
        self.refills = refills
        self.shared = len(prefix)
        self.device = model.embedding.device
        shape = (2, len(model.layers), rows, model.key_heads, 0, model.width)
        self.own = torch.zeros(shape, dtype=torch.float32, device=self.device)
        """Keys and values of the rows' own tokens, by layer; in float32 whatever the weights are, because
        a CPU is slower at small products and softmaxes in half precision."""
        self.lengths = [0] * rows
        """Own tokens of each row."""
        with torch.inference_mode():
            self.prefix = self._prefix(prefix) if prefix else None

    def enter(self, rows: Sequence[int], prompts: Sequence[Sequence[int]]) -> Tensor:
        """Logits after the prompts."""
        for row in rows:
            self.lengths[row] = 0
        return self._forward(rows, [prompt[self.shared :] for prompt in prompts], [1] * len(rows))

    def step(self, tokens: Sequence[int]) -> Tensor:
        """Logits after the tokens. Free rows run along, so that nobody's keys need to be copied."""
        self.lengths = [0 if token < 0 else at for token, at in zip(tokens, self.lengths, strict=True)]
        new = [(max(token, 0),) for token in tokens]
        return self._forward(range(len(tokens)), new, [int(token >= 0) for token in tokens])

    def keep(self, rows: Sequence[int]) -> bool:
        """Copies what remains; always possible."""
        self.lengths = [self.lengths[row] for row in rows]
        self._fit(rows)
        return True

    def _forward(self, rows: Sequence[int], new: Sequence[Sequence[int]], wanted: Sequence[int]) -> Tensor:
        """Logits after the last ``wanted`` of each of these rows' new tokens."""
        counts = list(map(len, new))
        starts = [self.lengths[row] for row in rows]
        for row, count in zip(rows, counts, strict=True):
            self.lengths[row] += count
        with torch.inference_mode():
            self._fit()
            ids = torch.tensor(list(chain.from_iterable(new)), device=self.device)
            every = _asking(starts, counts, counts, self.device)
            some = every if wanted == counts else _asking(starts, counts, wanted, self.device)
            attend = self._attend(rows, every, some)
            chosen = None if some is every else some.places
            return self.model.head(self.model.hidden(ids, every.at + self.shared, attend, chosen))

    def _attend(self, rows: Sequence[int], every: _Asking, some: _Asking) -> Attend:
        """Write the new tokens' keys and values behind those of their rows, then look at all of a row's."""
        _, _, size, heads, room, width = self.own.shape
        seen = max(self.lengths[row] for row in rows)
        index = torch.tensor(list(rows), device=self.device)
        all_rows = list(rows) == list(range(size))
        behind = (index[every.rows] * heads).unsqueeze(1) + torch.arange(heads, device=self.device)
        behind = (behind * room + every.at.unsqueeze(1)).flatten()
        masks = {id(asking): asking.mask(seen, self.own.dtype) for asking in (every, some)}

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            asking = every if len(q) == len(every.at) else some
            seen_by: list[Tensor] = []
            for own, one in zip(self.own[:, layer], (k, v), strict=True):
                own.view(-1, width).index_copy_(0, behind, one.reshape(-1, width).to(own.dtype))
                seen_by.append(own[:, :, :seen] if all_rows else own[index, :, :seen])
            keys, values = seen_by
            asked = asking.padded(q.to(keys.dtype))
            out = _in_parts(asked, keys, values, masks[id(asking)], self._shared(layer))
            return asking.packed(out).to(q.dtype)

        return attend

    def _prefix(self, ids: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        """Keys and values [key heads, tokens, width] of the shared tokens, layer by layer."""
        kept: list[tuple[Tensor, Tensor]] = []
        tokens = torch.tensor(ids, device=self.device)
        asking = _asking([0], [len(ids)], [len(ids)], self.device)
        mask = asking.mask(len(ids), self.own.dtype)

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            k, v = (x.transpose(0, 1).contiguous().to(self.own.dtype) for x in (k, v))
            kept.append((k, v))
            asked = q.unsqueeze(0).to(k.dtype)
            return attention(asked, k.unsqueeze(0), v.unsqueeze(0), mask, None)[0].to(q.dtype)

        self.model.hidden(tokens, asking.at, attend)
        return kept

    def _shared(self, layer: int) -> tuple[Tensor, Tensor] | None:
        return self.prefix[layer] if self.prefix is not None else None

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


@dataclass(frozen=True)
class _Asking:
    """Some of the new tokens, which are laid end to end and query padded, row by row."""

    places: Tensor
    """[asking] of each its place among all new tokens."""
    rows: Tensor
    """[asking] its row, numbered within the batch."""
    at: Tensor
    """[asking] how many of its row's own tokens are before it."""
    grid: Tensor
    """[rows, most] who asks: numbers of asking tokens; anybody where a row has fewer."""
    flat: Tensor | None
    """[asking] where each is in the flattened grid; None: the grid has no gaps."""

    def padded(self, x: Tensor) -> Tensor:
        """[asking, ...] -> [rows, most, ...]"""
        if self.flat is None:
            return x.view(*self.grid.shape, *x.shape[1:])
        return x.index_select(0, self.grid.flatten()).view(*self.grid.shape, *x.shape[1:])

    def packed(self, x: Tensor) -> Tensor:
        """[rows, most, size] -> [asking, size]"""
        x = x.flatten(0, 1)
        return x if self.flat is None else x.index_select(0, self.flat)

    def mask(self, seen: int, dtype: object) -> Tensor:
        """[rows, 1, most, seen] to be added to scores: 0, or -inf for what comes later."""
        later = torch.arange(seen, device=self.at.device) > self.at[self.grid].unsqueeze(-1)
        zeros = torch.zeros(later.shape, dtype=dtype, device=self.at.device)  # type: ignore[call-overload]
        return zeros.masked_fill_(later, float("-inf")).unsqueeze(1)  # type: ignore[no-any-return]


def _asking(starts: Sequence[int], counts: Sequence[int], wanted: Sequence[int], device: Any) -> _Asking:
    """The last ``wanted`` of ``counts`` new tokens of rows that have ``starts`` own tokens already."""
    most, total = max(wanted), sum(wanted)
    begin, number, asks = torch.tensor([starts, counts, wanted])
    rows = torch.arange(len(wanted)).repeat_interleave(asks)
    before = asks.cumsum(0) - asks
    column = torch.arange(total) - before[rows]
    inside = (number - asks)[rows] + column  # place within the row's new tokens
    grid = (before.unsqueeze(1) + torch.arange(most)).clamp_(max=total - 1)
    places = (number.cumsum(0) - number)[rows] + inside
    flat = None if total == len(wanted) * most else (rows * most + column).to(device)
    return _Asking(
        places.to(device), rows.to(device), (begin[rows] + inside).to(device), grid.to(device), flat
    )


def _in_parts(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, prefix: tuple[Tensor, Tensor] | None) -> Tensor:
    """:func:`attention`, some rows after the others where that is faster."""
    if prefix is None or q.device.type != "cpu":
        return attention(q, k, v, mask, prefix)
    each = q.shape[1] * q.shape[2] * (k.shape[2] + prefix[0].shape[1]) * q.element_size()
    rows = max(1, _NEAR // each)
    parts = [slice(first, first + rows) for first in range(0, len(q), rows)]
    found = [attention(q[part], k[part], v[part], mask[part], prefix) for part in parts]
    return found[0] if len(found) == 1 else torch.cat(found)


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, prefix: tuple[Tensor, Tensor] | None) -> Tensor:
    """[rows, tokens, heads * width] from queries [rows, tokens, heads, width], keys and values [rows, key
    heads, seen, width], and a prefix that every query sees: keys and values [key heads, prefix, width].

    ``mask`` is added to the scores: 0 or -inf, of a shape that broadcasts to [rows, 1, tokens, seen].
    """
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
    rows, key_heads, queries, _ = q.shape
    together = q.transpose(0, 1).flatten(1, 2)
    common = (together @ keys.transpose(1, 2)).view(key_heads, rows, queries, -1).transpose(0, 1)
    weights = torch.cat([common, scores], -1).softmax(-1, dtype=torch.float32).to(v.dtype)
    first, own = weights[..., : keys.shape[1]], weights[..., keys.shape[1] :]
    whole = first.transpose(0, 1).flatten(1, 2) @ values
    return own @ v + whole.view(key_heads, rows, queries, -1).transpose(0, 1)
