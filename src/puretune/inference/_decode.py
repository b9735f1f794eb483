"""The decode loop: one batch of prompts, padded on the left, until every row has stopped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, Any

from puretune.inference._cache import new_cache, select_rows
from puretune.inference._choose import choose, uniforms
from puretune.inference._types import Decoding, Finish

if TYPE_CHECKING:
    from torch import Tensor

_WORTH_COMPACTING = 0.75
"""Rows leave the batch when fewer than this share of them still run."""


@dataclass(frozen=True)
class Item:
    """One answer to make."""

    prompt: tuple[int, ...]
    decoding: Decoding
    sample: int


def decode(
    model: Any, items: Sequence[Item], stops: frozenset[int]
) -> Iterator[tuple[int, tuple[int, ...], Finish]]:
    """Yields (place in ``items``, new token ids, finish) as rows finish.

    All items have the same temperature and top_p; their lengths and limits may differ.
    """
    running = _Running(model, items)
    logits = running.forward(running.prompts)
    while True:
        chosen = running.choose(logits)
        for row, place in enumerate(running.places):
            if not running.active[row]:
                continue
            made = running.made[place]
            made.append(chosen[row])
            if chosen[row] in stops or len(made) == items[place].decoding.max_new_tokens:
                running.active[row] = False
                yield place, tuple(made), "stop" if chosen[row] in stops else "length"
        if not any(running.active):
            return
        logits = running.forward(running.compacted(chosen))


class _Running:
    """The state of a batch: which item each row is, its cache and its attention mask."""

    def __init__(self, model: Any, items: Sequence[Item]) -> None:
        import torch

        self.model = model
        self.items = items
        self.places = list(range(len(items)))
        self.active = [True] * len(items)
        self.made: list[list[int]] = [[] for _ in items]
        self.cache = new_cache(model)
        self.step = 0
        self.accepts = signature(model.forward).parameters
        width = max(len(item.prompt) for item in items)
        self.prompts = torch.zeros((len(items), width), dtype=torch.long, device=model.device)
        self.mask = torch.zeros((len(items), width), dtype=torch.long, device=model.device)
        for row, item in enumerate(items):
            self.prompts[row, width - len(item.prompt) :] = torch.tensor(item.prompt)
            self.mask[row, width - len(item.prompt) :] = 1
        self.drawn = self._draw()

    def forward(self, ids: Tensor) -> Tensor:
        """Logits [rows, vocabulary] after ``ids`` [rows, tokens], which enter the cache."""
        import torch

        more: dict[str, Any] = {}
        if "position_ids" in self.accepts:
            positions = (self.mask.cumsum(-1) - 1).clamp_(min=0)
            more["position_ids"] = positions[:, -ids.shape[1] :]
        if "logits_to_keep" in self.accepts:
            more["logits_to_keep"] = 1
        with torch.inference_mode():
            output = self.model(
                input_ids=ids,
                attention_mask=self.mask,
                past_key_values=self.cache,
                use_cache=True,
                **more,
            )
        self.cache = output.past_key_values
        logits: Tensor = output.logits[:, -1]
        return logits

    def choose(self, logits: Tensor) -> list[int]:
        """The next token of every row."""
        drawn = None if self.drawn is None else self.drawn[:, self.step]
        self.step += 1
        chosen: list[int] = choose(logits, self.items[0].decoding, drawn).tolist()
        return chosen

    def compacted(self, chosen: list[int]) -> Tensor:
        """The tokens to go on with [rows, 1], after finished rows have left if that is worth it."""
        import torch

        rows = [row for row, active in enumerate(self.active) if active]
        ids = torch.tensor(chosen, device=self.model.device)
        if len(rows) < _WORTH_COMPACTING * len(self.active):
            index = torch.tensor(rows, device=self.model.device)
            if select_rows(self.cache, index):
                ids, self.mask = ids[index], self.mask[index]
                self.drawn = None if self.drawn is None else self.drawn[index]
                self.places = [self.places[row] for row in rows]
                self.active = [True] * len(rows)
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(ids), 1)], dim=1)
        return ids.unsqueeze(1)

    def _draw(self) -> Tensor | None:
        from torch.nn.utils.rnn import pad_sequence

        if self.items[0].decoding.temperature == 0:
            return None
        drawn = [uniforms(item.prompt, item.decoding, item.sample) for item in self.items]
        return pad_sequence(drawn, batch_first=True).to(self.model.device)
