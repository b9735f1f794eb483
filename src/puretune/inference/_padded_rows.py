"""Rows of any Hugging Face model, through its own forward pass: padded on the left behind a shared prefix.

    column   0 ... shared | shared ... now
    row 0    the prefix   | . . . its own prompt, what it has written
    row 1    the prefix   | its own longer prompt, what it has written

Every row ends at the same column; the columns in between are masked and have no position.
"""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from typing import Any

import torch
from torch import Tensor

from puretune.inference._cache import broadcast, new_cache, rearrange, replace_rows, select_rows


class PaddedRows:
    """Implements ``Rows``. ``prefix``: what all prompts begin with.

    Where a model needs a cache of its own kind (a sliding window, a state), nothing is shared and rows enter
    together.
    """

    def __init__(self, model: Any, prefix: Sequence[int], refills: bool = True) -> None:
        self.model = model
        self.accepts = signature(model.forward).parameters
        own = new_cache(model)
        self.refills = refills and own is not None
        self.shared = len(prefix) if own is not None else 0
        self.prefix = own
        self.cache: Any = None
        self.mask = torch.zeros((0, 0), dtype=torch.long, device=model.device)
        if self.shared:
            ids = torch.tensor([list(prefix)], device=model.device)
            self._forward(ids, self._ones(1, self.shared), own)

    def enter(self, rows: Sequence[int], prompts: Sequence[Sequence[int]]) -> Tensor:
        """Logits after the prompts. Where all rows are new, their cache is the batch's."""
        ids, mask = self._padded([prompt[self.shared :] for prompt in prompts])
        mask = torch.cat([self._ones(len(prompts), self.shared), mask], dim=1)
        start = broadcast(self.model, self.prefix, len(prompts)) if self.shared else new_cache(self.model)
        logits, cache = self._forward(ids, mask, start)
        if not self.refills or len(rows) == len(self.mask) or not len(self.mask):
            self.cache, self.mask = cache, mask
        else:
            self._replace(rows, cache, mask)
        return logits

    def step(self, tokens: Sequence[int]) -> Tensor:
        """Logits after these tokens; the mask leaves out those of free rows."""
        new = torch.tensor(tokens, device=self.model.device).unsqueeze(1)
        runs = (new >= 0).long()
        self.mask = torch.cat([self.mask, runs], dim=1)
        logits, self.cache = self._forward(new.clamp(min=0), self.mask, self.cache)
        return logits[runs.squeeze(1).bool()]

    def keep(self, rows: Sequence[int]) -> bool:
        """Whether the cache could lose the others."""
        index = torch.tensor(rows, device=self.model.device)
        kept = select_rows(self.cache, index)
        if kept:
            self.mask = self.mask[index]
        return kept

    def _replace(self, rows: Sequence[int], cache: Any, mask: Tensor) -> None:
        """New rows in place of finished ones; columns that no row needs any more go."""
        index = torch.tensor(rows, device=self.model.device)
        self.mask[index, self.shared :] = 0
        own = mask[:, self.shared :]
        self._rearrange(own.shape[1])
        replace_rows(self.cache, rows, cache, self.shared)
        self.mask[index, self.mask.shape[1] - own.shape[1] :] = own

    def _rearrange(self, least: int = 0) -> None:
        """Every row's own tokens at the end, behind as few columns as possible, ``least`` or more."""
        own = self.mask[:, self.shared :]
        width = max(int(own.sum(1).max()), least)
        order = own.argsort(dim=1, stable=True)  # columns without a token first
        order = torch.cat([order[:, :1].expand(-1, max(0, width - order.shape[1])), order[:, -width:]], 1)
        mask = own.gather(1, order)
        mask[:, : max(0, width - own.shape[1])] = 0
        rearrange(self.cache, self.shared, order + self.shared)
        self.mask = torch.cat([self.mask[:, : self.shared], mask], dim=1)

    def _padded(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Ids and mask [rows, tokens], padded on the left."""
        width = max(map(len, rows))
        ids = torch.tensor([[*[0] * (width - len(one)), *one] for one in rows], device=self.model.device)
        lengths = torch.tensor([len(one) for one in rows], device=self.model.device)
        back = torch.arange(width, 0, -1, device=self.model.device)
        return ids, (back <= lengths.unsqueeze(1)).long()

    def _forward(self, ids: Tensor, mask: Tensor, cache: Any) -> tuple[Tensor, Any]:
        """Logits after the last of each row's ``ids`` [rows, tokens], and the cache that all have entered."""
        more: dict[str, Any] = {}
        if "position_ids" in self.accepts:
            positions = (mask.cumsum(-1) - 1).clamp_(min=0)
            more["position_ids"] = positions[:, -ids.shape[1] :]
        if "logits_to_keep" in self.accepts:
            more["logits_to_keep"] = last_columns(ids, 1)
        with torch.inference_mode():
            output = self.model(
                input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True, **more
            )
        return output.logits[:, -1], output.past_key_values

    def _ones(self, rows: int, tokens: int) -> Tensor:
        return torch.ones((rows, tokens), dtype=torch.long, device=self.model.device)


def last_columns(ids: Tensor, count: int) -> Tensor:
    """The last ``count`` columns of ``ids`` [rows, columns] by their numbers, for ``logits_to_keep``.

    A number of columns would make the head's input a view with gaps, and on a CPU torch's product of such a
    view in half precision takes the head's weight once per row: 35 GB for 128 rows of a 0.5B model.
    Chosen by number they are copied, a few megabytes.
    """
    columns = ids.shape[1]
    return torch.arange(columns - min(count, columns), columns, device=ids.device)
