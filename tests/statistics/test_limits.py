"""Requirements against limits: what passes, fails or stays open, several at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from puretune.errors import InputError
from puretune.statistics import clopper_pearson, data_needed, limit_decisions, prompts_to_decide


def rate(successes: int, n: int) -> Any:
    return lambda confidence: clopper_pearson(successes, n, confidence)


def decided(*values: tuple[int, int], limit: float = 0.02) -> list[str]:
    return [one.decided for one in limit_decisions([(rate(k, n), limit) for k, n in values])]


def test_one_requirement_is_decided_by_the_exact_one_sided_bound() -> None:
    assert decided((0, 149)) == ["pass"], "0.98 ** 149 < 0.05"
    assert decided((0, 148)) == ["inconclusive"]
    assert decided((20, 400)) == ["fail"]


def test_the_least_certain_of_several_needs_no_more_than_alone_only_if_all_others_are_certain() -> None:
    assert decided((0, 500), (0, 500), (0, 149)) == ["pass", "pass", "pass"]
    assert decided((0, 500), (0, 60), (0, 149)) == ["pass", "inconclusive", "inconclusive"]


def test_the_bound_that_is_shown_is_the_one_that_decided() -> None:
    for one in limit_decisions([(rate(k, 300), 0.02) for k in (0, 1, 3, 9, 30)]):
        assert (one.decided == "pass") == (one.high <= 0.02)
        assert (one.decided == "fail") == (one.low > 0.02)


def test_a_wrong_pass_of_any_is_at_most_as_probable_as_said() -> None:
    generator = np.random.default_rng(1)
    wrong = sum(
        "pass" in decided(*((int(k), 300) for k in generator.binomial(300, 0.021, 3))) for _ in range(400)
    )
    assert wrong / 400 < 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5


@given(st.integers(0, 50), st.integers(51, 400), st.floats(0.001, 0.5))
def test_more_requirements_never_turn_a_fail_into_a_pass(k: int, n: int, limit: float) -> None:
    alone = decided((k, n), limit=limit)[0]
    among = decided((k, n), (0, 40), (3, 40), limit=limit)[0]
    assert among in (alone, "inconclusive")


@pytest.mark.parametrize(("true", "limit"), [(0.0, 0.02), (0.01, 0.02), (0.05, 0.02), (0.5, 0.3)])
def test_so_many_prompts_decide_with_the_power_that_is_said(true: float, limit: float) -> None:
    n = prompts_to_decide(true, limit)
    assert n is not None
    wanted = "pass" if true < limit else "fail"
    right = [k for k in range(n + 1) if decided((k, n), limit=limit) == [wanted]]
    assert binom.pmf(right, n, true).sum() >= 0.8


def test_a_rate_at_its_limit_is_never_decided() -> None:
    assert prompts_to_decide(0.02, 0.02) is None
    assert prompts_to_decide(0.0199999, 0.02) is None
    with pytest.raises(InputError, match=r"\[0, 1\]"):
        prompts_to_decide(2, 0.02)


def test_seeds_help_where_the_variance_is_theirs_and_prompts_where_it_is_not() -> None:
    assert data_needed(0.03, 0.0, 1, 0.02)[0] is None
    assert data_needed(0.03, 0.0, 1, 0.02)[1] == pytest.approx((0.03 * 2.8 / 0.02) ** 2)
    seeds, factor = data_needed(0.03, 0.0009 * 3, 3, 0.05)
    assert seeds is not None
    assert seeds > 3
    assert factor is None
