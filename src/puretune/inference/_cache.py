"""A key/value cache that does not copy itself at every token.

The cache of transformers concatenates: each new token copies all keys and values. Here they are written into
buffers with room to grow. It stands in for the layers it is equal to; other kinds are left as they are.
"""

from __future__ import annotations

from functools import cache
from typing import Any

_GROW = 64
"""Tokens of new room whenever a buffer is full."""


def new_cache(model: Any) -> Any:
    """A cache for a batch that starts, or None where the model must make its own."""
    from transformers.cache_utils import DynamicCache, DynamicLayer

    content = DynamicCache(config=model.config)
    layers = getattr(content, "layers", None)
    if not layers or any(type(layer) is not DynamicLayer for layer in layers):
        return None
    content.layers = [_growing_layer()() for _ in layers]
    return content


def select_rows(content: Any, rows: Any) -> bool:
    """Keeps only these rows (indices) of a cache; False, and nothing changed, where its kind cannot do it."""
    layers = getattr(content, "layers", None)
    if not layers or not all(hasattr(layer, "batch_select_indices") for layer in layers):
        return False
    content.batch_select_indices(rows)
    return True


@cache
def _growing_layer() -> Any:
    import torch
    from transformers.cache_utils import DynamicLayer

    class GrowingLayer(DynamicLayer):  # type: ignore[misc]
        """Keys and values [rows, heads, tokens, width] as views of larger buffers."""

        def update(self, keys: Any, values: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
            if not self.is_initialized:
                self.lazy_initialization(keys, values)
                self.buffers = [self._room(keys), self._room(values)]
                self.length = 0
            end = self.length + keys.shape[-2]
            if end > self.buffers[0].shape[-2]:
                self.buffers = [
                    torch.cat([old[..., : self.length, :], self._room(new)], dim=-2)
                    for old, new in zip(self.buffers, (keys, values), strict=True)
                ]
            for buffer, new in zip(self.buffers, (keys, values), strict=True):
                buffer[..., self.length : end, :] = new
            self.length = end
            self.keys, self.values = (buffer[..., :end, :] for buffer in self.buffers)
            return self.keys, self.values

        def batch_select_indices(self, indices: Any) -> None:
            self.buffers = [buffer[indices] for buffer in self.buffers]
            self.keys, self.values = (buffer[..., : self.length, :] for buffer in self.buffers)

        @staticmethod
        def _room(new: Any) -> Any:
            rows, heads, tokens, width = new.shape
            return new.new_empty(rows, heads, tokens + _GROW, width)

    return GrowingLayer
