"""Steps, rows and learning rates as functions of recipe and seed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puretune.errors import InputError
from puretune.tuning import Recipe, kept_steps, learning_rate, plan_steps, rows_of_step, steps_per_epoch


@pytest.mark.parametrize(
    ("recipe", "rows", "steps"),
    [
        (Recipe(epochs=1, batch_size=4), 8, 2),
        (Recipe(epochs=1, batch_size=4), 9, 3),
        (Recipe(epochs=3, batch_size=2, accumulation=2), 9, 9),
        (Recipe(epochs=0.5, batch_size=1), 10, 5),
        (Recipe(epochs=0.1, batch_size=4), 4, 1),
        (Recipe(epochs=2.5, batch_size=4), 8, 5),
        (Recipe(steps=17, epochs=1), 8, 17),
    ],
)
def test_steps_are_planned(recipe: Recipe, rows: int, steps: int) -> None:
    assert plan_steps(recipe, rows) == steps


@given(
    rows=st.integers(1, 60),
    batch_size=st.integers(1, 7),
    accumulation=st.integers(1, 4),
    seed=st.integers(0, 10**6),
    epoch=st.integers(0, 5),
)
def test_each_epoch_takes_every_row_once(
    rows: int, batch_size: int, accumulation: int, seed: int, epoch: int
) -> None:
    recipe = Recipe(batch_size=batch_size, accumulation=accumulation)
    per_epoch = steps_per_epoch(recipe, rows)
    steps = [rows_of_step(recipe, rows, seed, epoch * per_epoch + place) for place in range(per_epoch)]
    assert sorted(row for step in steps for row in step) == list(range(rows))
    assert all(len(step) == batch_size * accumulation for step in steps[:-1])


def test_accumulation_takes_the_same_rows_as_a_larger_batch() -> None:
    one, two = Recipe(batch_size=6), Recipe(batch_size=2, accumulation=3)
    assert [rows_of_step(one, 20, 3, s) for s in range(8)] == [rows_of_step(two, 20, 3, s) for s in range(8)]


def test_seeds_and_epochs_have_orders_of_their_own() -> None:
    recipe = Recipe(batch_size=30)
    orders = {rows_of_step(recipe, 30, seed, epoch) for seed in (0, 1) for epoch in (0, 1)}
    assert len(orders) == 4


def rates(total: int = 10, per_epoch: int = 5, **fields: object) -> list[float]:
    recipe = Recipe(learning_rate=1.0, **fields)  # type: ignore[arg-type]
    return [learning_rate(recipe, step, total, per_epoch) for step in range(total)]


def test_schedules_start_at_the_full_rate() -> None:
    assert rates(schedule="constant") == [1.0] * 10
    assert rates(schedule="linear") == pytest.approx([1 - s / 10 for s in range(10)])
    assert rates(schedule="cosine")[5] == pytest.approx(0.5)
    assert rates(schedule="step", decay=0.5) == [1.0] * 5 + [0.5] * 5


def test_warm_up_rises_linearly_to_the_full_rate() -> None:
    assert rates(schedule="constant", warmup=0.4)[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
    assert rates(schedule="linear", warmup=0.4)[4:6] == pytest.approx([1.0, 1 - 1 / 6])


@given(
    schedule=st.sampled_from(["constant", "linear", "cosine", "step"]),
    warmup=st.floats(0, 1),
    total=st.integers(1, 50),
)
def test_rates_are_positive_and_never_above_the_recipe(schedule: str, warmup: float, total: int) -> None:
    assert all(0 < rate <= 1 + 1e-12 for rate in rates(total, schedule=schedule, warmup=warmup))


def test_the_last_step_is_always_kept() -> None:
    assert kept_steps(Recipe(steps=10, keep=(5, 2, 10)), 8) == (2, 5, 10)
    assert kept_steps(Recipe(steps=10), 8) == (10,)


def test_regular_steps_are_kept_for_a_curve() -> None:
    assert kept_steps(Recipe(steps=10, keep_every=4), 8) == (4, 8, 10)
    assert kept_steps(Recipe(steps=8, keep_every=4, keep=(1,)), 8) == (1, 4, 8)


@pytest.mark.parametrize("step", [0, 11])
def test_a_kept_step_outside_the_training_is_an_error(step: int) -> None:
    with pytest.raises(InputError, match=f"asks for step {step}, but training has steps 1 to 10"):
        kept_steps(Recipe(steps=10, keep=(step,)), 8)
