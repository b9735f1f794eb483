"""What goes into a step, shared out or packed; and whether packed rows stay apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from puretune.errors import InputError
from puretune.tuning import Recipe, Row, render_rows, rows_of_step
from puretune.tuning.trainer._padding_free import require_rows_apart
from puretune.tuning.trainer._steps import IGNORED, Steps, plan_data
from tests.tuning.tasks import task


def numbered(count: int) -> list[Row]:
    """Rows of different lengths; the tokens of row ``i`` are ``i + 1``."""
    return [Row((i + 1,) * (2 + i % 5), (False,) + (True,) * (1 + i % 5), shared=0) for i in range(count)]


def in_step(data: Steps, step: int, processes: int) -> list[int]:
    """The tokens that are trained in a step, over all processes."""
    places = data.micro * data.accumulation * processes
    items = [data.items[place] for place in data.order[step * places : (step + 1) * places]]
    return sorted(label for item in items for label in item["labels"] if label != IGNORED)


@given(
    rows=st.integers(1, 20),
    batch_size=st.integers(1, 4),
    accumulation=st.integers(1, 3),
    processes=st.sampled_from([1, 2, 3]),
    rows_at_once=st.integers(1, 4),
    capacity=st.sampled_from([0, 6, 13]),
)
def test_every_step_trains_what_the_recipe_says(
    rows: int, batch_size: int, accumulation: int, processes: int, rows_at_once: int, capacity: int
) -> None:
    recipe, data = Recipe(batch_size=batch_size, accumulation=accumulation * processes), numbered(rows)
    planned = plan_data(recipe, data, 7, 4, rows_at_once, processes, capacity)
    places = planned.micro * planned.accumulation * processes
    assert len(planned.order) == 4 * places
    for step in range(4):
        chosen = [data[place] for place in rows_of_step(recipe, rows, 7, step)]
        wanted = sorted(row.ids[0] for row in chosen for trained in row.loss_mask if trained)
        assert in_step(planned, step, processes) == wanted
    if capacity:
        assert all(len(item["input_ids"]) <= capacity for item in planned.items)


def test_packed_rows_begin_anew_and_are_never_cut() -> None:
    data = numbered(5)
    planned = plan_data(Recipe(batch_size=5), data, 0, 1, 1, 1, capacity=10)
    lengths = [item["seq_lengths"] for item in planned.items[:-1]]
    assert sorted(length for packed in lengths for length in packed) == [2, 3, 4, 5, 6]
    for item in planned.items:
        assert sum(item["seq_lengths"]) == len(item["input_ids"]) == len(item["labels"])


def test_a_model_that_mixes_packed_rows_is_refused(llama: Any, tmp_path: Path) -> None:
    first, second, *_ = render_rows(task(tmp_path), llama.renderer, 256)

    def without_positions(items: list[dict[str, Any]]) -> dict[str, Any]:
        return {name: torch.tensor([items[0][name]]) for name in ("input_ids", "labels")}

    with pytest.raises(InputError, match=r"LlamaForCausalLM does not keep rows apart without padding"):
        require_rows_apart(llama.model, without_positions, first, second)

    def with_positions(items: list[dict[str, Any]]) -> dict[str, Any]:
        positions = [place for length in items[0]["seq_lengths"] for place in range(length)]
        return {**without_positions(items), "position_ids": torch.tensor([positions])}

    require_rows_apart(llama.model, with_positions, first, second)
