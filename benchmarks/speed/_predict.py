"""What each mechanism should give, before it is measured: the ratio of work with it to work without it.

Counted in floating-point operations, so it says nothing of what a processor does better with larger products,
nor of time that passes between them; that is the gang's share, and nothing is predicted for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.speed._steps import Steps


def predicted(steps: Sequence[Steps], base: Any) -> dict[str, float]:
    """Factors by which work shrinks from one rung to the next."""
    seen = sum(one.tokens["seen"] for one in steps)
    trained = sum(one.tokens["trained"] for one in steps)
    computed = seen - sum(_saved_by_prefix(one) for one in steps)
    head = base.model.get_output_embeddings().weight.numel()
    table = base.model.get_input_embeddings().weight.numel()
    body = sum(weight.numel() for weight in base.model.parameters()) - table - head
    return {
        "+ packing": round(sum(_padded(one) for one in steps) / seen, 2),
        "+ prefix": round(seen / computed, 2),
        "+ head": round(computed * (body + head) / (computed * body + trained * head), 2),
    }


def _padded(one: Steps) -> int:
    """Tokens of micro-batches whose rows are padded to the longest."""
    parts = _micro_batches(one)
    return sum(len(part) * max(len(row.ids) for row in part) for part in parts)


def _saved_by_prefix(one: Steps) -> int:
    """Tokens that are not computed again where a micro-batch computes a shared prefix once."""
    return sum((len(part) - 1) * part[0].shared for part in _micro_batches(one))


def _micro_batches(one: Steps) -> list[Any]:
    size = one.task.recipe.batch_size
    return [one.rows[first : first + size] for first in range(0, len(one.rows), size)]
