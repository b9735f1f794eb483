"""A tuning task's rows as token ids, checked before the first step, and the batches made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from puretune.errors import InputError
from puretune.templates import Renderer, show_tokens
from puretune.tuning._types import TuningTask
from puretune.tuning.losses import CROSS_ENTROPY, Loss

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Row:
    """One rendered row, cut after its last trained token: what follows cannot change the loss."""

    ids: tuple[int, ...]
    loss_mask: tuple[bool, ...]
    shared: int
    """Leading tokens that all rows of the same template have in common and that predict no trained one."""
    loss: Loss = CROSS_ENTROPY

    @property
    def trained(self) -> int:
        return sum(self.loss_mask)

    @cached_property
    def places(self) -> list[int]:
        """Where its trained tokens are."""
        return [place for place in range(1, len(self.ids)) if self.loss_mask[place]]

    @property
    def positions(self) -> list[int]:
        """Of each trained token, its place in its response, from 0."""
        counted = accumulate(self.loss_mask, lambda before, on: before + 1 if on else 0, initial=0)
        return [number - 1 for number in counted if number]

    @property
    def prompt(self) -> int:
        """Leading tokens that are not trained."""
        return self.loss_mask.index(True)


@dataclass(frozen=True)
class Batch:
    """Rows padded on the right. Attention is causal, so padding there changes nothing and needs no mask."""

    ids: Tensor
    """[rows, length - 1]: the last token of a row predicts nothing."""
    places: Tensor
    """[trained]: where, in the flattened ``ids``, the next token is trained."""


def render_rows(task: TuningTask, renderer: Renderer, longest: int) -> tuple[Row, ...]:
    """All rows of a task. InputError for none, for one too long, for one without a trained token."""
    if not task.rows:
        raise InputError(f"condition {task.name!r} has no rows to train on.")
    limit = min(longest, task.recipe.max_length or longest)
    rendered = []
    for row in task.rows:
        try:
            rendering = renderer.example(row.template, row.example.messages)
        except InputError as error:
            raise InputError(f"condition {task.name!r}, row {row.example.id!r}: {error}") from error
        if len(rendering.ids) > limit:
            lost = [id for id, on in list(zip(rendering.ids, rendering.loss_mask, strict=True))[limit:] if on]
            raise InputError(
                f"condition {task.name!r}, row {row.example.id!r}: {len(rendering.ids)} tokens under "
                f"template {row.template.name!r}, more than the limit of {limit} "
                f"({'recipe.max_length' if limit < longest else 'the context of the model'}). "
                f"A cut there would take {len(lost)} of its {rendering.trained} trained tokens:\n"
                f"  {show_tokens(renderer.tokenizer, lost)}\n"
                "Remove the row or raise the limit; rows are never cut."
            )
        rendered.append(_row(rendering.ids, rendering.loss_mask))
    return _with_shared(task, rendered)


def batch(rows: Sequence[Row], device: Any, at_least: int = 0) -> Batch:
    """One micro-batch on the device, as wide as its longest row or ``at_least``."""
    import torch

    width = max(at_least, max(len(row.ids) for row in rows) - 1)
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    places = []
    for i, row in enumerate(rows):
        ids[i, : len(row.ids) - 1] = torch.tensor(row.ids[:-1])
        places += [i * width + place - 1 for place in row.places]
    return Batch(ids.to(device), torch.tensor(places, dtype=torch.long, device=device))


def readable(row: Row, tokenizer: Any) -> str:
    """The row as text, special tokens included; trained spans are in ⟦ ⟧."""
    text, start, before = "", 0, ""
    for end in range(1, len(row.ids) + 1):
        if end == len(row.ids) or row.loss_mask[end] != row.loss_mask[start]:
            # cut from the whole: decoded alone, a piece may lose its leading blank
            whole = tokenizer.decode(row.ids[:end], skip_special_tokens=False)
            piece = whole[len(before) :]
            text += f"⟦{piece}⟧" if row.loss_mask[start] else piece
            start, before = end, whole
    return text


def _row(ids: tuple[int, ...], mask: tuple[bool, ...]) -> Row:
    end = max(i for i, trained in enumerate(mask) if trained) + 1
    return Row(ids[:end], mask[:end], shared=0)


def _with_shared(task: TuningTask, rows: list[Row]) -> tuple[Row, ...]:
    groups: dict[str, list[Row]] = {}
    for source, row in zip(task.rows, rows, strict=True):
        groups.setdefault(source.template.fingerprint, []).append(row)
    shared = {key: _shared(group) for key, group in groups.items()}
    return tuple(
        Row(row.ids, row.loss_mask, shared[source.template.fingerprint], source.loss or task.recipe.loss)
        for source, row in zip(task.rows, rows, strict=True)
    )


def _shared(rows: list[Row]) -> int:
    if len(rows) == 1:
        return 0
    return min(_common([row.ids for row in rows]), *(max(0, row.prompt - 1) for row in rows))


def _common(sequences: Sequence[tuple[int, ...]]) -> int:
    """How many leading items all sequences share."""
    low, high = min(sequences), max(sequences)
    return next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
