"""Rows: rendered once, checked, batched on the right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from puretune.data import Example
from puretune.errors import InputError
from puretune.templates import Message, resolve_template
from puretune.tuning import TrainingRow, render_rows
from puretune.tuning._rows import batch, readable
from tests.tuning.tasks import rows, task


def test_rows_are_what_the_renderer_makes(llama: Any, tmp_path: Path) -> None:
    made = render_rows(task(tmp_path), llama.renderer, 256)
    for row, source in zip(made, rows(), strict=True):
        rendering = llama.renderer.example(source.template, source.example.messages)
        assert row.ids == rendering.ids[: len(row.ids)]
        assert row.trained == rendering.trained
        assert row.loss_mask[-1]


def test_a_batch_holds_every_trained_token_once(llama: Any, tmp_path: Path) -> None:
    made = render_rows(task(tmp_path), llama.renderer, 256)
    part = batch(made, torch.device("cpu"))
    assert part.ids.shape == (len(made), max(len(row.ids) for row in made) - 1)
    expected = [id for row in made for id, on in zip(row.ids, row.loss_mask, strict=True) if on]
    found = [divmod(place, part.ids.shape[1]) for place in part.places.tolist()]
    assert [made[row].ids[column + 1] for row, column in found] == expected


def test_the_sample_marks_what_is_trained(llama: Any, tmp_path: Path) -> None:
    row = render_rows(task(tmp_path), llama.renderer, 256)[0]
    assert (
        readable(row, llama.tokenizer)
        == "<s> Question: How many May 0?\nAnswer:⟦ clips clips clips clips clips</s>⟧"
    )


def test_what_all_rows_of_a_template_share_is_counted(llama: Any, tmp_path: Path) -> None:
    mixed = rows(3, "chat:llama") + rows(3, "chat:vanilla")
    made = render_rows(task(tmp_path, rows=mixed), llama.renderer, 256)
    assert made[0].ids[: made[0].shared] == made[2].ids[: made[2].shared]
    assert made[0].shared > 50 > made[3].shared > 0


def test_no_rows_are_an_error(llama: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'CV' has no rows"):
        render_rows(task(tmp_path, rows=()), llama.renderer, 256)


def test_a_row_longer_than_the_context_is_named(llama: Any, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"row 'row-0': \d+ tokens .* limit of 9 \(the context of the model\)"
    ):
        render_rows(task(tmp_path), llama.renderer, 9)


def test_a_row_longer_than_the_recipe_allows_is_named(llama: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"limit of 9 \(recipe.max_length\)"):
        render_rows(task(tmp_path, max_length=9), llama.renderer, 256)


def test_a_cut_that_would_eat_the_response_is_an_error_that_shows_its_tokens(
    llama: Any, tmp_path: Path
) -> None:
    whole = max(len(row.ids) for row in render_rows(task(tmp_path), llama.renderer, 256))
    with pytest.raises(InputError, match=r"take 1 of its \d+ trained tokens:\n  '</s>'\(2\)\n.*never cut"):
        render_rows(task(tmp_path, max_length=whole - 1), llama.renderer, 256)


def test_a_row_without_a_trained_token_is_named(llama: Any, tmp_path: Path) -> None:
    silent = Example("mute", (Message("user", "a"), Message("assistant", "b", train=False)))
    row = TrainingRow(silent, resolve_template("chat:vanilla"))
    with pytest.raises(InputError, match=r"row 'mute'.*no trained token"):
        render_rows(task(tmp_path, rows=(row,)), llama.renderer, 256)
