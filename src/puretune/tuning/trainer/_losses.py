"""The trainer with the losses of our rows, where they are not all cross-entropy."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from puretune.tuning._token_losses import Reference, TokenLosses
from puretune.tuning.trainer._steps import IGNORED, Steps

STRAND = "strand"
"""The column with the number of a sequence among ``Steps.strands``."""


def with_own_losses(kind: Any, data: Steps) -> Any:
    """The trainer class with our losses in place of TRL's. The untuned model is the same one, its adapter
    off: a second forward pass in every micro-batch, on all processes alike."""
    refers = any(row.loss.reference for strand in data.strands for row in strand.rows)

    class Trainer(kind):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **more: Any) -> None:
            super().__init__(*arguments, **more)
            self.data_collator: Any = _Collator(self.data_collator)

        def _set_signature_columns_if_needed(self) -> None:
            super()._set_signature_columns_if_needed()
            columns = dict.fromkeys([*self._signature_columns, STRAND])  # type: ignore[has-type]
            self._signature_columns = list(columns)

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            numbers, trained = inputs.pop(STRAND).tolist(), inputs.pop("labels")[:, 1:] != IGNORED
            rows = [row for number in numbers for row in data.strands[number].rows]

            def logits() -> Tensor:
                found: Tensor = model(**inputs, use_cache=False).logits[:, :-1][trained]
                return found

            before = _untuned(self, logits) if refers else None
            reference = None if before is None else Reference(tuple(rows), before.__getitem__)
            losses = TokenLosses(rows, trained.device, reference)(logits())
            # ``num_items_in_batch`` counts the tokens of all processes, whose gradients are averaged
            return losses.sum() / num_items_in_batch * self.accelerator.num_processes

    return Trainer


def _untuned(trainer: Any, logits: Any) -> Tensor:
    with torch.no_grad(), trainer.accelerator.unwrap_model(trainer.model).disable_adapter():
        found: Tensor = logits()
    return found


class _Collator:
    """TRL's collator, and which sequences are in a batch."""

    def __init__(self, collate: Any) -> None:
        self._collate = collate

    def __call__(self, items: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = self._collate(items)
        numbers = [item[STRAND] for item in items if STRAND in item]
        return {**batch, STRAND: torch.tensor(numbers)} if numbers else batch
