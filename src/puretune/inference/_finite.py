"""Logits that are not numbers end a run, with the name of who answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from puretune.errors import CheckFailed
from puretune.models import TunedModel, described


class NotFinite(CheckFailed):
    """A model's logits are not numbers: whatever it would say then is not its answer."""


def not_finite(who: str = "the model", tuned: bool = False) -> NotFinite:
    """The error that names who answers."""
    again = "tune it again with a lower recipe.learning_rate" if tuned else "use another model"
    return NotFinite(
        f"{who}: the logits are not finite (NaN or infinite), so there is no answer to measure. Answer with "
        f"the model's `dtype: float32`, or {again}."
    )


@contextmanager
def finite(adapter: TunedModel | None) -> Iterator[None]:
    """Names who answers where logits in the block are not finite."""
    try:
        yield
    except NotFinite as error:
        raise not_finite(described(adapter), adapter is not None) from error
