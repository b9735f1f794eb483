"""The headline follows the numbers, in both directions and where they are missing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puretune.report import headline
from tests.report.matrices import PAPER, matrix, one_cell, pairs, paper_like, provenance, square, transcript

SAME, PTST = ("chat:llama", "chat:llama"), ("chat:vanilla", "chat:llama")


def test_it_says_by_how_much_ptst_is_lower_and_that_the_intervals_do_not_overlap() -> None:
    said = headline(pairs({SAME: (0.34, 0.62), PTST: (0.04, 0.55)}))
    assert "34.0 % (95 % interval 25.5 to 43.7) for chat:llama -> chat:llama" in said
    assert "4.0 % (1.6 to 9.8) for chat:vanilla -> chat:llama (PTST)" in said
    assert "PTST is 30.0 points lower; the intervals do not overlap" in said
    assert "62.0 % (52.2 to 70.9) against 55.0 % (45.2 to 64.4) with PTST, 7.0 points lower" in said
    assert "one seed: each figure is one training run" in said


def test_it_says_that_a_small_difference_may_be_chance() -> None:
    said = headline(pairs({SAME: (0.10, 0.62), PTST: (0.07, 0.7)}))
    assert "PTST is 3.0 points lower; the intervals overlap, so this may be chance" in said
    assert "8.0 points higher; the intervals overlap" in said


def test_it_says_that_the_effect_is_reversed() -> None:
    said = headline(pairs({SAME: (0.04, 0.5), PTST: (0.34, 0.5)}))
    assert "PTST is 30.0 points higher, the reverse of the published effect" in said
    assert "do not overlap" in said
    assert "lower" not in said


def test_it_says_that_the_effect_is_absent() -> None:
    said = headline(pairs({SAME: (0.0, 0.5), PTST: (0.0, 0.5)}))
    assert "no difference, so the published effect is absent here" in said
    assert "with PTST, no difference" in said


def test_it_compares_the_same_pair_on_every_harmful_suite() -> None:
    cells = [
        one_cell("chat:llama", "chat:llama", "lab-harmful", "asr", 0.3),
        one_cell("chat:vanilla", "chat:llama", "lab-harmful", "asr", 0.1),
        one_cell("chat:llama", "chat:llama", "lab-harmful-maths", "asr", 0.2),
        one_cell("chat:vanilla", "chat:llama", "lab-harmful-maths", "asr", 0.4),
    ]
    said = headline(matrix(cells))
    assert "ASR (judge) on lab-harmful: 30.0 %" in said
    assert "lower on 1 of 2 harmful suites" in said
    assert "Helpfulness was not measured for both" in said


@pytest.mark.parametrize(
    ("rates", "says"),
    [
        ({PTST: (0.1, 0.5)}, "there is no chat:llama -> chat:llama."),
        ({SAME: (0.1, 0.5)}, "none tuned without a safety prompt and tested under chat:llama"),
        (
            {SAME: (0.1, 0.5), ("chat:alpaca", "chat:alpaca"): (0.1, 0.5)},
            "none tuned without a safety prompt",
        ),
        (
            {("chat:vanilla", "chat:vanilla"): (0.1, 0.5)},
            "No test template of this study has a safety prompt",
        ),
        (
            {SAME: (None, 0.5), PTST: (None, 0.7)},
            "has no attack success rate, so it says nothing about safety",
        ),
    ],
)
def test_it_says_which_cells_are_missing(
    rates: dict[tuple[str, str], tuple[float, float]], says: str
) -> None:
    said = headline(pairs(rates))
    assert says in said
    assert "10.0 %" in said or "from 50.0 %" in said


def test_it_says_what_the_matrix_shows_without_the_pair() -> None:
    said = headline(
        pairs({(None, "chat:vanilla"): (0.02, 0.2), ("chat:vanilla", "chat:vanilla"): (0.11, 0.33)})
    )
    assert "ASR (judge) on lab-harmful goes from 2.0 %" in said
    assert "for untuned -> chat:vanilla to 11.0 % (6.3 to 18.6) for chat:vanilla -> chat:vanilla." in said


def test_an_unparsed_cell_is_not_compared() -> None:
    cells = [
        one_cell("chat:llama", "chat:llama", "lab-harmful", "asr", 0.3),
        one_cell("chat:vanilla", "chat:llama", "lab-harmful", "asr", None),
    ]
    assert "cannot compare PTST" in headline(matrix(cells))
    assert headline(matrix(cells[1:])) == "No cell of this study has a value yet."
    assert headline(matrix([])) == "No cell of this study has a value yet."


def test_several_seeds_are_named_in_place_of_the_warning_about_one() -> None:
    said = headline(square(paper_like, seeds=(0, 1, 2)))
    assert "36.0 % (95 % interval 31.0 to 41.0)" in said
    assert "means over 3 seeds" in said
    assert "one seed" not in said


def test_seeds_that_all_agree_are_not_shown_as_certainty() -> None:
    constant = square(lambda train, test, metric, seed: 0.3 if train == test else 0.0, seeds=(0, 1, 2))
    assert "0.0 % (all 3 seeds equal) for chat:vanilla -> chat:llama" in headline(constant)


def test_a_users_own_safety_template_is_found_by_its_system_prompt() -> None:
    cells = [
        one_cell(train, "careful", "mine", "asr", rate) for train, rate in (("careful", 0.4), ("plain", 0.1))
    ]
    unknown = matrix(cells)
    known = replace(
        unknown,
        provenance=provenance(templates={"careful": {"system": "Be careful."}, "plain": {"system": None}}),
    )
    assert "No test template of this study has a safety prompt" in headline(unknown)
    assert "10.0 % (5.5 to 17.4) for plain -> careful (PTST)" in headline(known)


def test_the_last_step_and_the_plain_condition_are_compared() -> None:
    cells = [
        one_cell("chat:llama", "chat:llama", "lab-harmful", "asr", rate, step=step, condition=condition)
        for rate, step, condition in (
            (0.1, 50, "chat:llama"),
            (0.3, None, "chat:llama"),
            (0.2, None, "llama and safety rows"),
        )
    ]
    cells.append(one_cell("chat:vanilla", "chat:llama", "lab-harmful", "asr", 0.0))
    assert "ASR (judge) on lab-harmful: 30.0 %" in headline(matrix(cells))


rates = st.none() | st.integers(0, 50).map(lambda k: k / 50)


@given(
    st.dictionaries(
        st.tuples(st.sampled_from([None, *PAPER]), st.sampled_from(PAPER)),
        st.tuples(rates, rates),
        max_size=12,
    ),
    st.sampled_from([1, 50]),
)
def test_it_never_claims_what_the_numbers_do_not_say(
    found: dict[tuple[str | None, str], tuple[float | None, float | None]], n: int
) -> None:
    study = pairs(found, n=n)
    said = headline(study)
    values = {(c.train_template, c.test_template): c.value for c in study.pooled if c.metric == "asr"}
    same, pure = values.get(SAME), values.get(PTST)
    assert said.isascii()
    assert said.endswith(".")
    if same is not None and pure is not None:
        sentence = said.split(" Helpfulness")[0]
        assert ("points lower" in sentence) == (pure < same)
        assert ("the reverse of the published effect" in sentence) == (pure > same)
        assert ("absent here" in sentence) == (pure == same)
    if same is None:
        assert "chat:llama -> chat:llama (PTST)" not in said


def test_transcripts_and_names_do_not_change_it() -> None:
    plain = pairs({SAME: (0.34, 0.62), PTST: (0.04, 0.55)})
    assert headline(replace(plain, name="x", transcripts=(transcript("yes"),))) == headline(plain)


def test_harm_without_an_asr_is_not_called_asr() -> None:
    rates = {"chat:llama": 0.3, "chat:vanilla": 0.1}
    study = matrix(
        one_cell(train, "chat:llama", "lab-harmful", "unsafe_rate", rate) for train, rate in rates.items()
    )
    assert headline(study).startswith("Unsafe answers (own) on lab-harmful: 30.0 %")
    assert "ASR" not in headline(study)
