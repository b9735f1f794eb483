"""Rows of any Hugging Face model, through its own forward pass: padded on the left behind a shared prefix.

    column   0 ... shared | shared ... now
    row 0    the prefix   | . . . its own prompt, what it has written
    row 1    the prefix   | its own longer prompt, what it has written

Every row ends at the same column; the columns in between are masked and have no position.
"""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from typing import TYPE_CHECKING, Any

from puretune.inference._cache import broadcast, new_cache, replace_rows, select_rows, shift

if TYPE_CHECKING:
    from torch import Tensor


class ModuleRows:
    """Implements ``Rows``. ``prefix``: what all prompts begin with.

    Where a model needs a cache of its own kind (a sliding window, a state), nothing is shared and rows enter
    together.
    """

    def __init__(self, model: Any, prefix: Sequence[int], refills: bool = True) -> None:
        import torch

        self.model = model
        self.accepts = signature(model.forward).parameters
        own = new_cache(model)
        self.refills = refills and own is not None
        self.shared = len(prefix) if own is not None else 0
        self.prefix = own
        self.cache: Any = None
        self.mask = torch.zeros((0, 0), dtype=torch.long, device=model.device)
        if self.shared:
            self._forward(torch.tensor([list(prefix)], device=model.device), self._ones(1, self.shared), own)

    def enter(self, rows: Sequence[int], prompts: Sequence[Sequence[int]]) -> Tensor:
        """Logits after the prompts. Where all rows are new, their cache becomes the batch's."""
        import torch

        own = [prompt[self.shared :] for prompt in prompts]
        width = max(map(len, own))
        ids = torch.zeros((len(own), width), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, one in enumerate(own):
            ids[row, width - len(one) :] = torch.tensor(one)
            mask[row, width - len(one) :] = 1
        device = self.model.device
        mask = torch.cat([self._ones(len(own), self.shared), mask.to(device)], dim=1)
        start = broadcast(self.model, self.prefix, len(own)) if self.shared else new_cache(self.model)
        logits, cache = self._forward(ids.to(device), mask, start)
        if not self.refills or len(rows) == len(self.mask) or not len(self.mask):
            self.cache, self.mask = cache, mask
        else:
            self._replace(rows, cache, mask)
        return logits

    def step(self, tokens: Sequence[int]) -> Tensor:
        """Logits after one more token per row."""
        import torch

        self.mask = torch.cat([self.mask, self._ones(len(tokens), 1)], dim=1)
        ids = torch.tensor(tokens, device=self.model.device).clamp_(min=0).unsqueeze(1)
        logits, self.cache = self._forward(ids, self.mask, self.cache)
        return logits

    def keep(self, rows: Sequence[int]) -> bool:
        """Whether the cache could lose the others."""
        import torch

        index = torch.tensor(rows, device=self.model.device)
        kept = select_rows(self.cache, index)
        if kept:
            self.mask = self.mask[index]
        return kept

    def _replace(self, rows: Sequence[int], cache: Any, mask: Tensor) -> None:
        """New rows in place of finished ones; columns that no row needs any more go."""
        import torch

        index = torch.tensor(rows, device=self.model.device)
        self.mask[index, self.shared :] = 0
        used = self.mask[:, self.shared :].any(0)
        first = self.shared + (int(used.nonzero()[0]) if bool(used.any()) else len(used))
        width = max(self.mask.shape[1] - first, mask.shape[1] - self.shared)
        gap = width - (self.mask.shape[1] - first)
        shift(self.cache, self.shared, first, gap)
        replace_rows(self.cache, rows, cache, self.shared)
        common, own = self.mask[:, : self.shared], self.mask[:, first:]
        self.mask = torch.cat([common, own.new_zeros(len(own), gap), own], dim=1)
        self.mask[index, self.mask.shape[1] - (mask.shape[1] - self.shared) :] = mask[:, self.shared :]

    def _forward(self, ids: Tensor, mask: Tensor, cache: Any) -> tuple[Tensor, Any]:
        """Logits [rows, vocabulary] after ``ids`` [rows, tokens], and the cache that they have entered."""
        import torch

        more: dict[str, Any] = {}
        if "position_ids" in self.accepts:
            positions = (mask.cumsum(-1) - 1).clamp_(min=0)
            more["position_ids"] = positions[:, -ids.shape[1] :]
        if "logits_to_keep" in self.accepts:
            more["logits_to_keep"] = 1
        with torch.inference_mode():
            output = self.model(
                input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True, **more
            )
        return output.logits[:, -1], output.past_key_values

    def _ones(self, rows: int, tokens: int) -> Tensor:
        import torch

        return torch.ones((rows, tokens), dtype=torch.long, device=self.model.device)
