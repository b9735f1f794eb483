"""A key/value cache that does not copy itself at every token, and whose rows can be replaced.

The cache of transformers concatenates: each new token copies all keys and values. Here they are written into
buffers with room to grow. It replaces the layers it is equal to; other kinds are left as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer

_GROW = 64
"""Tokens of new room whenever a buffer is full."""


def new_cache(model: Any) -> Any:
    """A cache for a batch that starts, or None if the model must make its own."""
    content = DynamicCache(config=model.config)
    layers = getattr(content, "layers", None)
    if not layers or any(type(layer) is not DynamicLayer for layer in layers):
        return None
    content.layers = [_GrowingLayer() for _ in layers]
    return content


def select_rows(content: Any, rows: Any) -> bool:
    """Keeps only these rows (indices) of a cache; False, and nothing changed, where its kind cannot do it."""
    layers = getattr(content, "layers", None)
    if not layers or not all(hasattr(layer, "batch_select_indices") for layer in layers):
        return False
    content.batch_select_indices(rows)
    return True


def broadcast(model: Any, content: Any, rows: int) -> Any:
    """A new cache in which every row is the one row of ``content``, a cache of :func:`new_cache`."""
    wider = new_cache(model)
    for new, old in zip(wider.layers, content.layers, strict=True):
        new.update(old.keys.expand(rows, -1, -1, -1), old.values.expand(rows, -1, -1, -1))
    return wider


def rearrange(content: Any, start: int, columns: Any) -> None:
    """Behind ``start``, every row gets the columns [rows, width] of its own that are named, in that order."""
    for layer in content.layers:
        layer.rearrange(start, columns)


def replace_rows(content: Any, rows: Sequence[int], other: Any, start: int) -> None:
    """Writes the rows of another cache over these rows; both end at the last column, and the columns before
    ``start`` are the same in both."""
    for layer, new in zip(content.layers, other.layers, strict=True):
        width = new.length - start
        for buffer, source in zip(layer.buffers, (new.keys, new.values), strict=True):
            buffer[list(rows), :, layer.length - width : layer.length] = source[..., start:, :]


class _GrowingLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values [rows, heads, tokens, width] as views of larger buffers."""

    def update(self, keys: Any, values: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        if not self.is_initialized:
            self.lazy_initialization(keys, values)
            self.buffers = [self._room(new, new.shape[-2] + _GROW) for new in (keys, values)]
            self.length = 0
        end = self.length + keys.shape[-2]
        if end > self.buffers[0].shape[-2]:
            self.buffers = [
                torch.cat([old[..., : self.length, :], self._room(new, keys.shape[-2] + _GROW)], dim=-2)
                for old, new in zip(self.buffers, (keys, values), strict=True)
            ]
        for buffer, new in zip(self.buffers, (keys, values), strict=True):
            buffer[..., self.length : end, :] = new
        return self._seen(end)

    def batch_select_indices(self, indices: Any) -> None:
        self.buffers = [buffer[indices] for buffer in self.buffers]
        self._seen(self.length)

    def rearrange(self, start: int, columns: Any) -> None:
        rows = torch.arange(len(columns), device=columns.device).unsqueeze(1)
        self.buffers = [
            torch.cat(
                [
                    buffer[..., :start, :],
                    buffer.transpose(1, 2)[rows, columns].transpose(1, 2),
                    self._room(buffer, _GROW),
                ],
                dim=-2,
            )
            for buffer in self.buffers
        ]
        self._seen(start + columns.shape[1])

    def _seen(self, length: int) -> tuple[Any, Any]:
        self.length = length
        self.keys, self.values = (buffer[..., :length, :] for buffer in self.buffers)
        return self.keys, self.values

    @staticmethod
    def _room(like: Any, tokens: int) -> Any:
        rows, heads, _, width = like.shape
        return like.new_zeros(rows, heads, tokens, width)
