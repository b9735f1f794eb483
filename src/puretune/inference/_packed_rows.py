"""Rows of a model of the Llama family, whose tensors this package drives itself.

New tokens of all rows are laid end to end, as many as each row has, and go through the layers without
padding; only attention's queries are padded. A prefix that all prompts share is computed once and stays one
copy. The rows' own keys and values lie as close together as their lengths allow, because attention waits for
memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from puretune.decoder import Attend, Decoder, attention, decoder_of, in_detail, joined, separate, window_of
from puretune.models import is_small

_SPARE = 16
"""Tokens of free room per row whenever the buffers are laid out anew."""

_NEAR = 5 << 19
"""Bytes of scores that stay near a processor: attention behind a prefix takes more heads in parts."""

_Pair = tuple[Tensor, Tensor]
"""Keys and values."""


def can_be_packed(model: Any) -> bool:
    """Whether packed rows are for this number format: float32, or bfloat16 on a CPU where the model is small
    enough for copies."""
    return model.dtype == torch.float32 or (
        model.dtype == torch.bfloat16 and model.device.type == "cpu" and is_small(model)
    )


def tensors_of(model: Any, positions: int) -> Decoder | None:
    """A transformers model's tensors with room for that many positions; None if it is not known in every
    detail, or has a sliding window that would be felt.

    In float32 they are the module's own; in bfloat16 layers with the same inputs are joined, and an adapter
    that is ``attached`` is in them.
    """
    half = model.dtype != torch.float32
    if not (can_be_packed(model) and in_detail(model, adapters=half)):
        return None
    windows = [window_of(layer.self_attn) or positions for layer in model.model.layers]
    return decoder_of(model, positions, joined if half else separate) if min(windows) >= positions else None


class PackedRows:
    """Implements ``Rows``. ``prefix``: what all prompts begin with."""

    def __init__(self, model: Decoder, prefix: Sequence[int], rows: int, refills: bool = True) -> None:
        self.model = model
        self.refills = refills
        self.shared = len(prefix)
        self.device = model.embedding.device
        shape = (2, len(model.layers), model.key_heads, rows, 0, model.width)
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
        """Logits, in float32, after the last ``wanted`` of each of these rows' new tokens."""
        counts = list(map(len, new))
        starts = [self.lengths[row] for row in rows]
        for row, count in zip(rows, counts, strict=True):
            self.lengths[row] += count
        with torch.inference_mode():
            self._fit()
            ids = torch.tensor(list(chain.from_iterable(new)), device=self.device)
            every = _asking(starts, counts, counts, self.device)
            some = every if wanted == counts else _asking(starts, counts, wanted, self.device)
            return self._logits(ids, every, some, self._attend(rows, every, some))

    def _logits(self, ids: Tensor, every: _Asking, some: _Asking, attend: Attend) -> Tensor:
        places = None if some is every else self._filled(some.places)
        at = self._filled(every.at + self.shared)
        (logits,) = self.model.output(self.model.hidden(self._filled(ids), at, attend, places), None)
        return logits[: len(some.at)].float()  # in which the largest is found faster

    def _attend(self, rows: Sequence[int], every: _Asking, some: _Asking) -> Attend:
        """Write the new tokens' keys and values behind those of their rows, then look at all of a row's."""
        _, _, heads, size, room, width = self.own.shape
        seen = max(self.lengths[row] for row in rows)
        index = torch.tensor(list(rows), device=self.device)
        all_rows = list(rows) == list(range(size))
        behind = index[every.rows].unsqueeze(1) + size * torch.arange(heads, device=self.device)
        behind = (behind * room + every.at.unsqueeze(1)).flatten()
        masks = {id(asking): asking.mask(seen) for asking in (every, some)}
        last = len(self.model.layers) - 1

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            asking = some if layer == last else every
            seen_by: list[Tensor] = []
            for own, one in zip(self.own[:, layer], (k, v), strict=True):
                new = one[: len(every.at)].reshape(-1, width).to(own.dtype)
                own.view(-1, width).index_copy_(0, behind, new)
                seen_by.append(own[:, :, :seen] if all_rows else own[:, index, :seen])
            shared = self.prefix[layer] if self.prefix else None
            asked = asking.padded(self._scaled(q[: len(asking.at)]))
            found = _in_parts(asked, seen_by, shared, masks[id(asking)])
            return self._filled(asking.packed(found).to(q.dtype))

        return attend

    def _prefix(self, ids: Sequence[int]) -> list[_Pair]:
        """Keys and values [key heads, tokens, width] of the shared tokens, layer by layer."""
        kept: list[_Pair] = []
        asking = _asking([0], [len(ids)], [len(ids)], self.device)
        mask = asking.mask(len(ids))

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            k, v = (x[: len(ids)].transpose(0, 1).to(self.own.dtype).contiguous() for x in (k, v))
            kept.append((k, v))
            own = [x.unsqueeze(1) for x in (k, v)]
            found = _in_parts(asking.padded(self._scaled(q[: len(ids)])), own, None, mask)
            return self._filled(asking.packed(found).to(q.dtype))

        tokens = torch.tensor(ids, device=self.device)
        self.model.hidden(self._filled(tokens), self._filled(asking.at), attend)
        return kept

    def _scaled(self, q: Tensor) -> Tensor:
        return q.to(self.own.dtype).mul(self.model.width**-0.5)

    def _filled(self, x: Tensor) -> Tensor:
        """x [tokens, ...] with zeros behind it up to a round number of tokens, where the model is in half
        precision: oneDNN compiles a product for every number of tokens that it meets, which takes longer
        than a small product itself, and remembers a limited number of them."""
        if self.model.embedding.dtype == torch.float32:
            return x
        step = 1 << max(4, len(x).bit_length() - 4)  # an eighth of it at most
        return pad(x, (0, 0) * (x.dim() - 1) + (0, -len(x) % step))

    def _fit(self, rows: Sequence[int] | None = None) -> None:
        """Lay the buffers out anew (perhaps for some rows only) where they are too narrow or far too wide."""
        width, room = self.own.shape[4], max(self.lengths)
        if rows is None and room <= width <= room + 2 * _SPARE:
            return
        shape = (*self.own.shape[:3], len(self.lengths), room + _SPARE, self.own.shape[5])
        new = self.own.new_zeros(shape)
        both = min(width, room)
        old = self.own[..., :both, :]
        new[..., :both, :] = old if rows is None else old[:, :, :, list(rows)]
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

    def mask(self, seen: int) -> Tensor:
        """[1, rows, most, seen] to be added to scores: 0, or -inf for what comes later."""
        later = torch.arange(seen, device=self.at.device) > self.at[self.grid].unsqueeze(-1)
        zeros: Tensor = torch.zeros(later.shape, device=self.at.device)
        return zeros.masked_fill_(later, float("-inf")).unsqueeze(0)


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


def _in_parts(q: Tensor, own: Sequence[Tensor], shared: _Pair | None, mask: Tensor) -> Tensor:
    """:func:`puretune.decoder.attention`, some heads after the others where that is faster: [rows, tokens,
    heads * width] from scaled queries [rows, tokens, heads, width]."""
    rows, tokens, _, width = q.shape
    groups = len(own[0])
    # the query heads of one key head lie behind one another as if they were more tokens
    q = q.view(rows, tokens, groups, -1, width).permute(2, 0, 3, 1, 4).reshape(groups, rows, -1, width)
    size = groups
    if shared is not None and q.device.type == "cpu":
        each = q[0].numel() // width * (own[0].shape[2] + shared[0].shape[1]) * q.element_size()
        size = max(1, _NEAR // each)
    found = []
    for first in range(0, groups, size):
        part = slice(first, first + size)
        before = None if shared is None else (shared[0][part], shared[1][part])
        found.append(attention(q[part], (own[0][part], own[1][part]), before, mask).result)
    out = found[0] if len(found) == 1 else torch.cat(found)
    return out.view(groups, rows, -1, tokens, width).permute(1, 3, 0, 2, 4).flatten(2)
