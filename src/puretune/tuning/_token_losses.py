"""The losses of the trained tokens of some rows, each row with its own loss, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from puretune.models import at_least_float32
from puretune.tuning._loss_formulas import Chunk
from puretune.tuning._rows import Row
from puretune.tuning.losses import CROSS_ENTROPY


class Reference(NamedTuple):
    """What the untuned model says to some rows."""

    rows: tuple[Row, ...]
    """Those whose loss asks for it, each once."""
    logits: Callable[[Tensor], Tensor]
    """Numbers of their trained tokens -> [tokens, vocabulary]"""


def referring(rows: Sequence[Row]) -> tuple[Row, ...]:
    """The rows whose loss looks at the untuned model, each once."""
    return tuple(dict.fromkeys(row for row in rows if row.loss.reference))


class TokenLosses:
    """The losses of the trained tokens of some rows, row by row, for any chunk of them."""

    def __init__(self, rows: Sequence[Row], device: Any, reference: Reference | None) -> None:
        def tensor(values: Iterable[int]) -> Tensor:
            return torch.tensor(list(values), dtype=torch.long, device=device)

        self._targets = tensor(row.ids[place] for row in rows for place in row.places)
        self._plain = all(row.loss == CROSS_ENTROPY for row in rows)
        self._reference = reference
        if self._plain:
            return
        kinds = {loss: number for number, loss in enumerate(dict.fromkeys(row.loss for row in rows))}
        self._formulas = [loss.open() for loss in kinds]
        self._refers = [loss.reference for loss in kinds]
        self._kinds = tensor(kinds[row.loss] for row in rows for _ in row.places)
        self._positions = tensor(place for row in rows for place in row.positions)
        self._told = tensor(_numbers(rows, reference))

    def __call__(self, logits: Tensor, first: int = 0) -> Tensor:
        """[tokens] from logits [tokens, vocabulary] of the trained tokens from number ``first`` on."""
        logits, some = at_least_float32(logits), slice(first, first + len(logits))
        if self._plain or not len(logits):
            return nn.functional.cross_entropy(logits, self._targets[some], reduction="none")
        kinds, losses = self._kinds[some], logits.new_zeros(len(logits))
        for number in sorted(set(kinds.tolist())):
            here = (kinds == number).nonzero().flatten()
            losses = losses.index_copy(0, here, self._of_kind(number, logits[here], here + first))
        return losses

    def _of_kind(self, number: int, logits: Tensor, tokens: Tensor) -> Tensor:
        before = None
        if self._refers[number]:
            assert self._reference is not None
            with torch.no_grad():
                before = at_least_float32(self._reference.logits(self._told[tokens]))
        return self._formulas[number](Chunk(logits, self._targets[tokens], self._positions[tokens], before))


def _numbers(rows: Sequence[Row], reference: Reference | None) -> list[int]:
    """Of each trained token of ``rows``, its number among those of the reference; 0 where it has none."""
    starts, total = dict[Row, int](), 0
    for row in reference.rows if reference else ():
        starts.setdefault(row, total)
        total += row.trained
    return [starts[row] + number if row in starts else 0 for row in rows for number in range(row.trained)]
