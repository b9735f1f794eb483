"""Rates over all answers asked for, with honest intervals."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from puretune.scoring import Verdict
from puretune.statistics import clopper_pearson, crossed_mean
from puretune.study import CellResult
from puretune.study.matrix.cells import Judged, Measured, Place, cell, pool
from puretune.study.plan.steps import Who
from puretune.study.spec.analysis import Analysis

PLACE = Place(Who("chat:vanilla", "chat:vanilla", 0), "chat:llama", "sums")


def judged(prompt: str, value: float | bool | None, **more: object) -> Judged:
    fields = {"behaviour": None, "parse": "ok" if value is not None else "unparsed", **more}
    finish, category = fields.pop("finish", "stop"), fields.pop("category", None)
    draw = fields.pop("draw", None)
    return Judged(prompt, finish, Verdict("s", {"m": value}, **fields), category, draw)  # type: ignore[arg-type]


def result(*items: Judged) -> CellResult:
    return measured(*items).cell


def measured(*items: Judged) -> Measured:
    return cell(PLACE, "m", "m", items)


def test_one_answer_per_prompt_is_exact_for_this_adapter() -> None:
    one = result(*(judged(str(i), i < 3) for i in range(10)))
    assert (one.n, one.value) == (10, 0.3)
    assert (one.low, one.high) == pytest.approx(clopper_pearson(3, 10))
    assert one.estimand == "this adapter and new prompts from the same source"


def test_what_was_not_tuned_is_no_adapter() -> None:
    place = Place(Who("untuned"), "chat:llama", "sums")
    one = cell(place, "s", "m", [judged(str(i), i < 3) for i in range(10)]).cell
    assert one.estimand == "this model and new prompts from the same source"


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
    assert (one.low, one.high) == pytest.approx((clopper_pearson(4, 8).low, 1.0))


def test_without_a_parsed_verdict_there_is_no_value_and_all_is_possible() -> None:
    one = result(*(judged(str(i), None) for i in range(4)))
    assert one.value is None
    assert (one.low, one.high) == pytest.approx((0.0, 1.0))


def test_samples_and_paraphrases_of_one_prompt_are_one_draw() -> None:
    expected = crossed_mean([[1.0, 1.0, 0.5, 0.5]])
    samples = result(*(judged(prompt, value) for prompt in "abcd" for value in (prompt in "ab", True)))
    assert (samples.n, samples.value) == (8, 0.75)
    assert (samples.low, samples.high) == (expected.low, expected.high)
    worded = [
        judged(f"{prompt}{n}", value, draw=prompt)
        for prompt in "abcd"
        for n, value in enumerate((prompt in "ab", True))
    ]
    assert (result(*worded).low, result(*worded).high) == (expected.low, expected.high)


def test_prompts_that_all_agree_still_have_an_interval() -> None:
    always = result(*(judged(prompt, False) for prompt in "abcd" for _ in range(5)))
    assert (always.low, always.high) == pytest.approx(clopper_pearson(0, 4))
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
    assert (pooled.seeds, pooled.n, pooled.value, pooled.seed_sd) == (1, 10, 0.3, None)
    assert pooled.estimand == "this adapter and new prompts from the same source"
    assert (pooled.low, pooled.high) == pytest.approx(clopper_pearson(3, 10))


def test_several_seeds_combine_prompts_and_training_runs() -> None:
    (pooled,) = pool(seeds(2, 4, 6))
    expected = crossed_mean([[float(i < rate) for i in range(10)] for rate in (2, 4, 6)])
    assert (pooled.seeds, pooled.n, pooled.value) == (3, 30, pytest.approx(0.4))
    assert (pooled.low, pooled.high) == pytest.approx((expected.low, expected.high), abs=0.1)
    assert pooled.estimand == "new training runs and new prompts from the same source"
    assert pooled.seed_sd is not None


def test_categories_are_strata_unless_new_ones_are_meant() -> None:
    rows = [[judged(str(i), i % 4 == 0, category=f"c{i % 4}") for i in range(40)] for _ in range(3)]
    cells = [changed(measured(*row), seed=seed) for seed, row in enumerate(rows)]
    (fixed,), (sampled,) = pool(cells), pool(cells, Analysis(population="sampled"))
    assert fixed.estimand == "new training runs and new prompts of these 4 categories"
    assert "new categories (these 4" in sampled.estimand
    assert fixed.high < 0.45
    assert sampled.high > 0.9
    assert (fixed.categories, fixed.design_effect) == (4, None)
    assert sampled.design_effect is not None
    assert sampled.design_effect > 10


def test_seeds_that_all_answer_alike_are_not_certain() -> None:
    (pooled,) = pool(seeds(0, 0, 0))
    assert (pooled.value, pooled.low) == (0.0, 0.0)
    assert pooled.high == pytest.approx(clopper_pearson(0, 10).high)
    (equal,) = pool(seeds(5, 5, 5))
    assert equal.low is not None
    assert equal.high is not None
    assert equal.high - equal.low > 0.4


def test_an_assumed_seed_sd_counts_for_tuned_conditions_with_one_seed() -> None:
    (plain,), (assumed,) = pool(seeds(3)), pool(seeds(3), Analysis(seed_sd=0.2))
    assert plain.high is not None
    assert assumed.high is not None
    assert assumed.high > plain.high
    assert assumed.seed_sd == 0.2
    assert "assumed" in assumed.estimand


def test_zero_cells_under_a_judge_budget_keep_an_upper_bound() -> None:
    items = [
        Judged(
            str(i), "stop", Verdict("s", {"m": False} if i < 40 else {}, parse="ok" if i < 40 else "unjudged")
        )
        for i in range(100)
    ]
    one = Measured(replace(measured(*items).cell, low=0.0, high=0.063), tuple(items), (0.0,) * 100, 0.0, 0.0)
    (pooled,) = pool(changed(one, seed=seed) for seed in range(3))
    assert pooled.value == 0.0
    assert pooled.high is not None
    assert 0.063 <= pooled.high < 0.12
    assert "judge budget" in pooled.method


def test_unparsed_verdicts_widen_the_pooled_interval() -> None:
    both = [(True, None), (False, True)]
    cells = [measured(judged("a", one), judged("b", other)) for one, other in both]
    (pooled,) = pool(changed(one, seed=seed) for seed, one in enumerate(cells))
    assert pooled.value == 0.5
    assert pooled.high == crossed_mean([[1.0, 1.0], [0.0, 1.0]]).high


def test_pools_keep_the_order_of_the_cells() -> None:
    later = [changed(one, suite="other") for one in seeds(1, 2)]
    assert [one.suite for one in pool([*seeds(1, 2), *later])] == ["sums", "other"]
