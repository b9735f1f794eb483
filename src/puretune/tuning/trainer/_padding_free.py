"""Whether a model keeps concatenated rows apart without padding: tried beforehand."""

from __future__ import annotations

from typing import Any

from puretune.errors import InputError
from puretune.tuning._rows import Row
from puretune.tuning.trainer._steps import Strand

_LONGEST = 64
_TOLERANCE = {"float32": 1e-3}
_TOLERANCE_IN_HALF = 0.05


def require_rows_apart(model: Any, collator: Any, first: Row, second: Row) -> None:
    """InputError if the second of two rows, without padding, is not what it is alone.

    An architecture without block-diagonal attention (or with a state that runs on) would train every row on
    what happens to come before it.
    """
    import torch

    rows = tuple(Row(row.ids[:_LONGEST], row.loss_mask[:_LONGEST], 0) for row in (first, second))
    inputs = {name: _on(model, value) for name, value in collator([Strand(rows).item()]).items()}
    del inputs["labels"]
    was = model.training
    model.eval()
    try:
        with torch.no_grad():
            together = model(**inputs, use_cache=False).logits[0, len(rows[0].ids) :].float()
            alone = (
                model(input_ids=_on(model, torch.tensor([rows[1].ids])), use_cache=False).logits[0].float()
            )
    except TypeError as error:
        raise _unsupported(model, str(error)) from error
    finally:
        model.train(was)
    difference = float(torch.linalg.norm(together - alone) / torch.linalg.norm(alone))
    if difference > _TOLERANCE.get(str(model.dtype).removeprefix("torch."), _TOLERANCE_IN_HALF):
        raise _unsupported(model, f"its logits change by {difference:.1%}")


def _unsupported(model: Any, why: str) -> InputError:
    name = type(model.get_base_model() if hasattr(model, "get_base_model") else model).__name__
    return InputError(
        f"{name} does not keep rows apart without padding ({why}). Turn padding_free and packing off, "
        "or load the model with an attention that supports it (flash_attention_2)."
    )


def _on(model: Any, value: Any) -> Any:
    return value.to(model.device) if hasattr(value, "to") else value
