"""The headline follows the numbers, in both directions and where they are missing."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puretune.report import headline, lead
from puretune.report._facts import interval_notes
from puretune.study import Matrix
from tests.report.matrices import (
    OWN,
    PAPER,
    matrix,
    one_cell,
    pairs,
    paper_like,
    provenance,
    square,
    transcript,
)

SAME, PTST = ("chat:llama", "chat:llama"), ("chat:vanilla", "chat:llama")


def test_the_planned_difference_leads_with_its_interval_p_and_conclusion() -> None:
    said = headline(pairs({SAME: (0.34, 0.62), PTST: (0.04, 0.55)}))
    assert said.startswith(
        "ASR (judge) on lab-harmful: 34.0 % (24.8 to 44.2) for chat:llama -> chat:llama and "
    )
    assert "4.0 % (1.1 to 9.9) for chat:vanilla -> chat:llama (PTST)" in said
    assert re.search(r"Difference \+30\.0 points \(95 % interval \+2\d\.\d to \+39\.\d\), p < 0\.001: ", said)
    assert "chat:vanilla -> chat:llama is better than chat:llama -> chat:llama." in said
    assert (
        "Exploratory, differences of the same two cells in points: Exact match (gsm8k) on lab-maths +7.0"
        in said
    )


def test_the_lead_is_the_planned_difference_in_one_sentence_and_empty_without_one() -> None:
    said = lead(pairs({SAME: (0.34, 0.62), PTST: (0.04, 0.55)}))
    assert said.startswith(
        "Attack success rate (judge) on lab-harmful, same template (CL -> CL) minus PTST (CV -> CL): "
        "+30.0 points (95 %"
    )
    assert "; 1 training run each), p < 0.001: " in said
    assert said.endswith("chat:vanilla -> chat:llama is better than chat:llama -> chat:llama.")
    assert lead(matrix([one_cell("chat:llama", "chat:llama", "lab-harmful", "asr", 0.3)])) == ""


def test_one_training_run_says_nothing_about_templates() -> None:
    said = headline(pairs({SAME: (0.34, 0.62), PTST: (0.04, 0.55)}))
    assert "One training run each: this applies to these two models" in said
    assert "says nothing about what the templates do in another training run" in said


def test_a_small_difference_is_inconclusive_and_it_says_what_would_decide() -> None:
    cells = [
        one_cell(train, "chat:llama", "lab-harmful", "asr", rate, n=50)
        for train, rate in (("chat:llama", 0.1), ("chat:vanilla", 0.02))
    ]
    said = headline(matrix(cells))
    assert re.search(r": cannot tell \(n = 50; about [\d,]+0 prompts would\)\.", said)


def test_a_reversed_effect_is_told_as_it_is() -> None:
    said = headline(pairs({SAME: (0.04, 0.5), PTST: (0.34, 0.5)}))
    assert "Difference -30.0 points" in said
    assert "chat:llama -> chat:llama is better than chat:vanilla -> chat:llama." in said


def test_no_difference_is_equivalent_only_where_the_study_is_large_enough() -> None:
    def said(n: int) -> str:
        return headline(
            matrix(
                one_cell(train, "chat:llama", "lab-harmful", "asr", 0.0, n=n)
                for train in ("chat:llama", "chat:vanilla")
            )
        )

    assert "equivalent within 5 points" in said(400)
    assert "cannot tell (n = 30" in said(30)
    assert "absent" not in said(400) + said(30)


def test_a_study_with_refusals_only_gets_its_finding_on_refusals() -> None:
    rates = {"chat:llama": 0.3, "chat:vanilla": 0.9}
    said = headline(
        matrix(one_cell(train, "chat:llama", "lab-harmful", "refusal_rate", r) for train, r in rates.items())
    )
    assert said.startswith("Refusal rate (harmful requests) (refusal) on lab-harmful: 30.0 %")
    assert "Difference -60.0 points" in said
    assert "chat:vanilla -> chat:llama is better than chat:llama -> chat:llama." in said


def test_other_suites_of_the_same_pair_are_exploratory() -> None:
    cells = [
        one_cell("chat:llama", "chat:llama", "lab-harmful", "asr", 0.3),
        one_cell("chat:vanilla", "chat:llama", "lab-harmful", "asr", 0.1),
        one_cell("chat:llama", "chat:llama", "lab-harmful-maths", "asr", 0.2),
        one_cell("chat:vanilla", "chat:llama", "lab-harmful-maths", "asr", 0.4),
    ]
    said = headline(matrix(cells))
    assert said.startswith("ASR (judge) on lab-harmful: 30.0 %")
    assert (
        "Exploratory, differences of the same two cells in points: ASR (judge) on lab-harmful-maths -20.0"
        in said
    )
    assert "Helpfulness was not measured for both" in said


@pytest.mark.parametrize(
    ("rates", "says"),
    [
        ({PTST: (0.1, 0.5)}, "it has no chat:llama -> chat:llama."),
        ({SAME: (0.1, 0.5)}, "nothing tuned without safety instructions was tested under chat:llama."),
        ({("chat:vanilla", "chat:vanilla"): (0.1, 0.5)}, "No test template of this study carries safety"),
        (
            {SAME: (None, 0.5), ("chat:alpaca", "chat:alpaca"): (None, 0.7)},
            "No suite of this study asks for harm",
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
    assert "for untuned -> chat:vanilla to 11.0 % (5.6 to 18.8) for chat:vanilla -> chat:vanilla" in said


def test_an_unparsed_cell_is_not_compared() -> None:
    cells = [
        one_cell("chat:llama", "chat:llama", "lab-harmful", "asr", 0.3),
        one_cell("chat:vanilla", "chat:llama", "lab-harmful", "asr", None),
    ]
    assert "cannot compare PTST" in headline(matrix(cells))
    assert headline(matrix(cells[1:])) == "No cell of this study has a value yet."
    assert headline(matrix([])) == "No cell of this study has a value yet."


def test_several_seeds_say_how_far_training_runs_differ() -> None:
    said = headline(square(paper_like, seeds=(0, 1, 2)))
    assert re.search(
        r"Means over 3 training runs; their standard deviation is estimated at \d\.\d points", said
    )
    assert "One training run" not in said
    assert "PTST is better than the same template on both sides" in said


def test_seeds_that_all_agree_are_not_shown_as_certainty() -> None:
    constant = square(lambda train, test, metric, seed: 0.3 if train == test else 0.0, seeds=(0, 1, 2))
    assert "0.0 % (0.0 to 3.6) for chat:vanilla -> chat:llama (PTST)" in headline(constant)


def test_a_safety_template_is_one_that_says_so() -> None:
    def said(safe: str) -> str:
        rates = ((safe, 0.4), ("plain", 0.1))
        templates = {name: {"system": t.system, "safety": t.safety} for name, t in OWN.items()}
        held = matrix(one_cell(train, safe, "lab-harmful", "asr", rate) for train, rate in rates)
        return headline(replace(held, provenance=provenance(templates=templates)))

    assert "10.0 % (4.9 to 17.6) for plain -> careful (PTST)" in said("careful")
    assert "No test template of this study carries safety instructions" in said("acme")


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
    for claim in ("absent", "chance", "overlap", "significant"):
        assert claim not in said
    # where no attack success was measured at all, the planned comparison is of another metric
    planned = [c for c in study.comparisons if c.role == "planned" and c.metric == "asr"]
    assert bool(planned) <= (same is not None)
    assert bool(planned) >= (same is not None and pure is not None)
    if same is not None and pure is not None:
        better = {"higher": f"{' -> '.join(PTST)} is better", "lower": f"{' -> '.join(SAME)} is better"}
        for conclusion, words in better.items():
            assert (words in said) == (planned[0].conclusion == conclusion)
        assert (planned[0].conclusion == "higher") <= (pure < same)
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


def test_the_notes_say_whether_a_comparison_was_planned() -> None:
    def said(held: Matrix) -> str:
        return " ".join(interval_notes(held))

    assert "One comparison was planned, and its p value is not corrected;" in said(square(paper_like))
    alone = said(pairs({(None, "chat:vanilla"): (0.02, 0.2)}))
    assert "No comparison was planned: every comparison is exploratory" in alone


def test_what_would_decide_names_categories_where_these_are_new() -> None:
    held = square(paper_like)
    first, *rest = held.comparisons

    def said(**fields: Any) -> str:
        one = replace(first, conclusion="inconclusive", seeds_needed=None, prompts_factor=None, **fields)
        return headline(replace(held, comparisons=(one, *rest)))

    assert "to find a difference" not in said()
    new = replace(first, conclusion="inconclusive", prompts_factor=3.0, estimand="new categories (these 4)")
    assert "about 3.0 times as many categories" in headline(replace(held, comparisons=(new,)))
    both = replace(first, conclusion="inconclusive", seeds_needed=7, prompts_factor=2.0, prompts=50)
    assert "about 7 seeds and 100 prompts" in headline(replace(held, comparisons=(both,)))


def test_a_study_without_a_harmful_suite_says_so_beside_its_comparison() -> None:
    held = square(paper_like)
    harmless = tuple(one for one in held.comparisons if one.suite == "lab-maths")
    planned = tuple(replace(one, role="planned") for one in harmless)
    quiet = replace(
        held,
        pooled=tuple(one for one in held.pooled if one.suite == "lab-maths"),
        comparisons=planned,
    )
    assert "No suite of this study asks for harm" in headline(quiet)
    assert "No suite of this study asks for harm" not in headline(held)
