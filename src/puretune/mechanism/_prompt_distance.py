"""How far apart two renderings of one prompt are: in tokens, and for the model that reads them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import cosine_similarity, log_softmax

from puretune.models import BaseModel

Ids = tuple[int, ...]


@dataclass(frozen=True)
class PromptDistance:
    """From a first rendering to a second one."""

    edits: float
    """Tokens to insert, delete or replace (Levenshtein)."""
    divergence: float
    """KL(first || second) of the distributions of the answer's first token, in nats."""
    hidden: float
    """1 - cosine of the last layer's states at the prompt's last token: 0 to 2."""


def prompt_distances(base: BaseModel, pairs: Iterable[tuple[Ids, Ids]]) -> list[PromptDistance]:
    """The distance of each pair of renderings (token ids, BOS included) for an untuned model.

    Renderings are read one by one, without padding; each once, however many pairs it is in.
    """
    read: dict[Ids, tuple[Any, Any]] = {}

    def state(ids: Ids) -> tuple[Any, Any]:
        if ids not in read:
            read[ids] = _read(base, ids)
        return read[ids]

    return [_distance(pair, state(pair[0]), state(pair[1])) for pair in pairs]


def edit_distance(left: Sequence[int], right: Sequence[int]) -> int:
    """Fewest insertions, deletions and replacements that make one sequence the other.

    Source: Wagner and Fischer (1974), Journal of the ACM 21:168-173.
    """
    row = list(range(len(right) + 1))
    for at, one in enumerate(left, 1):
        before, row[0] = row[0], at
        for place, other in enumerate(right, 1):
            changed = before + (one != other)
            before = row[place]
            row[place] = min(changed, before + 1, row[place - 1] + 1)
    return row[-1]


def _distance(pair: tuple[Ids, Ids], first: tuple[Any, Any], second: tuple[Any, Any]) -> PromptDistance:
    divergence = (first[0].exp() * (first[0] - second[0])).sum()
    hidden = 1 - cosine_similarity(first[1], second[1], dim=0)
    # Rounding may go below 0 where both are the same
    return PromptDistance(edit_distance(*pair), max(float(divergence), 0.0), max(float(hidden), 0.0))


def _read(base: BaseModel, ids: Ids) -> tuple[Any, Any]:
    """Log-probabilities of the next token [vocabulary] and the last layer's state [width], in float32."""
    with torch.inference_mode():
        found = base.model(
            input_ids=torch.tensor([ids], device=base.device), output_hidden_states=True, use_cache=False
        )
    logits, state = found.logits[0, -1].float(), found.hidden_states[-1][0, -1].float()
    return log_softmax(logits, -1).cpu(), state.cpu()
