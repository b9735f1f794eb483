"""Few answers: an interval is as long as these prompts make it, and no longer."""

from __future__ import annotations

import pytest

from puretune.statistics import bounded_mean, clopper_pearson, prompts_of


def alone(values: list[float], prompts: list[str] | None = None) -> tuple[float, float]:
    found = bounded_mean([values], prompts_of(prompts or [str(n) for n in range(len(values))]))
    return found.low, found.high


@pytest.mark.parametrize(("yes", "n"), [(0, 1), (1, 2), (1, 3), (3, 10)])
def test_few_prompts_of_one_answer_each_are_clopper_pearson(yes: int, n: int) -> None:
    assert alone([1.0] * yes + [0.0] * (n - yes)) == pytest.approx(clopper_pearson(yes, n))


def test_answers_to_one_prompt_say_next_to_nothing_of_others() -> None:
    low, high = alone([1.0, 0.0, 0.0], ["a", "a", "a"])
    assert low < 0.001
    assert high > 0.99


def test_graded_scores_of_few_prompts_say_no_less_than_yes_and_no_would() -> None:
    low, high = alone([1.0, 0.5, 0.0])
    assert 0 < low < high < 1
    wide, narrow = clopper_pearson(1, 3), clopper_pearson(2, 3)
    assert wide.low < low < narrow.low
    assert wide.high < high < narrow.high
