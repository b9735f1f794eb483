"""Rates over all answers asked for, with honest intervals."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from puretune.scoring import Verdict
from puretune.statistics import clopper_pearson, crossed_bootstrap, t_interval, wilson
from puretune.study import CellResult
from puretune.study._cells import Judged, Measured, Place, cell, pool
from puretune.study._plan import Who

PLACE = Place(Who("chat:vanilla", "chat:vanilla", 0), "chat:llama", "sums")


def judged(prompt: str, value: float | bool | None, **more: object) -> Judged:
    fields = {"behaviour": None, "parse": "ok" if value is not None else "unparsed", **more}
    finish, cluster = fields.pop("finish", "stop"), fields.pop("cluster", None)
    return Judged(prompt, finish, Verdict("s", {"m": value}, **fields), cluster)  # type: ignore[arg-type]


def result(*items: Judged) -> CellResult:
    return measured(*items).cell


def measured(*items: Judged) -> Measured:
    return cell(PLACE, "m", "m", items)


def test_one_answer_per_prompt_has_the_wilson_interval() -> None:
    one = result(*(judged(str(i), i < 3) for i in range(10)))
    assert (one.n, one.value) == (10, 0.3)
    assert (one.low, one.high) == wilson(3, 10)
    assert one.estimand == "new prompts from the same source"


def test_counts_say_what_stands_behind_the_rate() -> None:
    one = result(
        judged("a", True, behaviour="complied", finish="length"),
        judged("b", False, behaviour="refused"),
        judged("c", False, behaviour="empty"),
        judged("d", None),
    )
    assert one.counts == {
        **{"successes": 1, "unparsed": 1, "truncated": 1, "errors": 0},
        **{"complied": 1, "refused": 1, "incoherent": 0, "empty": 1},
    }


def test_unparsed_verdicts_count_as_asked_and_widen_the_interval() -> None:
    one = result(*(judged(str(i), True) for i in range(4)), *(judged(f"u{i}", None) for i in range(4)))
    assert one.value == 0.5
    assert (one.low, one.high) == (wilson(4, 8).low, wilson(8, 8).high)


def test_without_a_parsed_verdict_there_is_no_value_and_all_is_possible() -> None:
    one = result(*(judged(str(i), None) for i in range(4)))
    assert one.value is None
    assert (one.low, one.high) == (wilson(0, 4).low, wilson(4, 4).high)


def test_samples_of_one_prompt_are_one_draw() -> None:
    one = result(*(judged(prompt, value) for prompt in "abcd" for value in (prompt in "ab", True)))
    assert (one.n, one.value) == (8, 0.75)
    assert (one.low, one.high) == t_interval([1.0, 1.0, 0.5, 0.5], clip=True)


def test_prompts_that_all_agree_still_have_an_interval() -> None:
    always = result(*(judged(prompt, False) for prompt in "abcd" for _ in range(5)))
    assert (always.low, always.high) == wilson(0, 4)
    half = result(*(judged(prompt, value) for prompt in "abc" for value in (True, False)))
    assert half.low is not None
    assert half.high is not None
    assert half.low < 0.5 < half.high


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.floats(0, 1)), min_size=1, max_size=12))
def test_the_interval_holds_the_value_within_zero_and_one(items: list[tuple[str, float | None]]) -> None:
    # As many samples for every prompt, as the engine answers them.
    prompts = {prompt: [value for name, value in items if name == prompt] for prompt in "abc"}
    size = max(len(values) for values in prompts.values())
    full = [
        (prompt, values[i % len(values)]) for prompt, values in prompts.items() if values for i in range(size)
    ]
    one = result(*(judged(prompt, value) for prompt, value in full))
    assert one.low is not None
    assert one.high is not None
    assert 0 <= one.low <= one.high <= 1
    if one.value is not None:
        assert one.low - 1e-9 <= one.value <= one.high + 1e-9


def seeds(*rates: int) -> list[Measured]:
    cells = [measured(*(judged(str(i), i < rate) for i in range(10))) for rate in rates]
    return [changed(one, seed=seed) for seed, one in enumerate(cells)]


def changed(one: Measured, **fields: object) -> Measured:
    return replace(one, cell=replace(one.cell, **fields))  # type: ignore[arg-type]


def test_one_seed_keeps_its_own_interval() -> None:
    (pooled,) = pool(seeds(3))
    assert (pooled.seeds, pooled.n, pooled.value, pooled.estimand) == (
        1,
        10,
        0.3,
        "new prompts from the same source",
    )
    assert (pooled.low, pooled.high) == wilson(3, 10)


def test_several_seeds_have_the_t_interval_of_their_means() -> None:
    (pooled,) = pool(seeds(2, 4, 6))
    assert (pooled.seeds, pooled.n, pooled.value) == (3, 30, pytest.approx(0.4))
    assert (pooled.low, pooled.high) == t_interval([0.2, 0.4, 0.6], clip=True)
    assert pooled.estimand == "new training runs"


def test_ten_seeds_are_resampled_together_with_the_prompts_and_their_clusters() -> None:
    rows = [[judged(str(i), i < 2 + seed % 3, cluster=f"c{i // 2}") for i in range(10)] for seed in range(10)]
    (pooled,) = pool(changed(measured(*row), seed=seed) for seed, row in enumerate(rows))
    values = [[float(item.verdict.values["m"] or 0) for item in row] for row in rows]
    expected = crossed_bootstrap(values, [item.cluster for item in rows[0]])
    assert (pooled.low, pooled.high) == (expected.low, expected.high)
    assert pooled.estimand == "new training runs and new prompts"
    assert pooled.method == "crossed bootstrap of 10 seeds and 5 prompts or clusters"


def test_seeds_that_all_answer_alike_are_not_certain_of_new_prompts() -> None:
    (pooled,) = pool(seeds(0, 0, 0))
    assert (pooled.value, pooled.low) == (0.0, 0.0)
    assert pooled.high == clopper_pearson(0, 10).high
    assert pooled.estimand == "new prompts from the same source"


def test_unparsed_verdicts_widen_the_pooled_interval() -> None:
    both = [(True, None), (False, True)]
    cells = [measured(judged("a", one), judged("b", other)) for one, other in both]
    (pooled,) = pool(changed(one, seed=seed) for seed, one in enumerate(cells))
    assert pooled.value == 0.5
    assert pooled.high == t_interval([1.0, 0.5], clip=True).high


def test_pools_keep_the_order_of_the_cells() -> None:
    later = [changed(one, suite="other") for one in seeds(1, 2)]
    assert [one.suite for one in pool([*seeds(1, 2), *later])] == ["sums", "other"]
