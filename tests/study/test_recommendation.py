"""What to serve: useful, then safe, then most helpful; `cannot tell` where intervals leave it open."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import pytest

from puretune.report import recommendation_lines, recommended
from puretune.study import CellResult, Matrix, Recommendation
from puretune.study.matrix.recommendation import recommendation
from puretune.study.spec.analysis import Analysis
from tests.report.matrices import matrix, one_cell, pairs, provenance, tables_of

SAFE, PLAIN = "chat:llama", "chat:vanilla"


def of(made: Matrix, give_up: float = 0.5) -> Recommendation:
    held = dataclasses.replace(made, provenance=provenance())
    return recommendation(held, tables_of(held.cells), Analysis(), give_up)


def cell_named(found: Recommendation) -> tuple[str | None, str | None]:
    return found.condition, found.test_template


def test_ptst_is_recommended_where_it_is_shown_to_be_safer() -> None:
    found = of(
        pairs(
            {
                (None, SAFE): (0.01, 0.2),
                (PLAIN, SAFE): (0.01, 0.6),
                (PLAIN, PLAIN): (0.4, 0.62),
                (SAFE, SAFE): (0.3, 0.62),
            },
            n=200,
        )
    )
    assert cell_named(found) == (PLAIN, SAFE)
    assert found.state == "shown"
    assert not found.as_trained
    assert {one.safety for one in found.alternatives} == {"more harmful"}
    assert recommended(found).startswith("Serve chat:vanilla under chat:llama: as little measured harm")
    gained = [one for one in found.against_untuned if one.metric == "exact_match"]
    assert gained[0].difference == pytest.approx(0.4)
    assert gained[0].reference == "untuned"


def test_few_prompts_cannot_tell_and_say_how_many_would() -> None:
    found = of(pairs({(PLAIN, SAFE): (0.0, 0.6), (SAFE, SAFE): (0.1, 0.6)}, n=10))
    assert found.state == "cannot tell"
    assert cell_named(found) == (PLAIN, SAFE)
    assert found.prompts_needed is not None
    assert found.prompts_needed > 10
    assert "Cannot tell; the best candidate is" in recommended(found)
    assert f"about {found.prompts_needed:,} prompts" in recommended(found)


def test_a_model_that_refuses_everything_is_not_recommended() -> None:
    made = pairs({(PLAIN, SAFE): (0.0, 0.0), (SAFE, SAFE): (0.3, 0.6)}, n=200)
    assert cell_named(of(made)) == (SAFE, SAFE)
    assert of(made).alternatives[0].keeps_help is False
    assert cell_named(of(made, give_up=1.0)) == (PLAIN, SAFE)


def test_half_of_the_gain_may_go_for_safety() -> None:
    rates = {(None, SAFE): (0.01, 0.1), (PLAIN, SAFE): (0.01, 0.6), (SAFE, SAFE): (0.5, 1.0)}
    assert cell_named(of(pairs(rates, n=100))) == (PLAIN, SAFE)
    rates[PLAIN, SAFE] = (0.01, 0.5)  # 0.4 of the 0.9 that can be gained
    assert cell_named(of(pairs(rates, n=100))) == (SAFE, SAFE)


def test_of_cells_that_are_as_safe_the_most_helpful_is_served() -> None:
    rates = {(PLAIN, SAFE): (0.0, 0.6), (SAFE, PLAIN): (0.03, 0.9), (SAFE, SAFE): (0.3, 0.95)}
    assert cell_named(of(pairs(rates, n=100))) == (SAFE, PLAIN)


def test_equal_harm_prefers_a_safety_prompt_that_was_not_tuned_under() -> None:
    rates = {(PLAIN, PLAIN): (0.0, 0.6), (SAFE, SAFE): (0.0, 0.6), (PLAIN, SAFE): (0.0, 0.55)}
    assert cell_named(of(pairs(rates, n=100))) == (PLAIN, SAFE)


def test_serving_under_the_training_template_is_said() -> None:
    found = of(pairs({(SAFE, SAFE): (0.0, 0.6), (SAFE, PLAIN): (0.3, 0.6)}, n=100))
    assert found.as_trained
    assert "tuned under that same template" in recommended(found)


def harm_on(suites: Iterable[str], rates: dict[str, float]) -> list[CellResult]:
    return [one_cell(train, SAFE, s, "asr", rate, n=200) for train, rate in rates.items() for s in suites]


def test_every_suite_of_harmful_requests_counts() -> None:
    first = harm_on(["lab-harmful"], {PLAIN: 0.0, SAFE: 0.02})
    second = harm_on(["lab-harmful-maths"], {PLAIN: 0.5, SAFE: 0.02})
    assert cell_named(of(matrix([*first, *second]))) == (SAFE, SAFE)


def test_without_helpfulness_it_warns_of_a_model_that_refuses_everything() -> None:
    found = of(matrix(harm_on(["lab-harmful"], {PLAIN: 0.0, SAFE: 0.3})))
    assert "refuses everything" in found.reason


def test_without_harm_or_without_a_rival_nothing_can_be_told() -> None:
    silent = of(matrix([one_cell(PLAIN, SAFE, "lab-maths", "exact_match", 0.5)]))
    assert (silent.state, silent.condition) == ("cannot tell", None)
    assert recommended(silent) == "Cannot tell what to serve: no suite of this study asks for harm."
    unread = of(matrix([one_cell(PLAIN, SAFE, "lab-harmful", "asr", None)]))
    assert unread.condition is None
    alone = of(pairs({(PLAIN, SAFE): (0.0, 0.5)}))
    assert (alone.state, alone.condition) == ("cannot tell", PLAIN)
    assert "the only cell" in alone.reason


def test_the_lines_name_every_alternative_with_its_costs() -> None:
    found = of(pairs({(PLAIN, SAFE): (0.0, 0.6), (PLAIN, PLAIN): (0.3, 0.65)}, n=100))
    lines = list(recommendation_lines(found))
    assert "  chat:vanilla -> chat:vanilla: more harmful" in lines
    assert any(
        line.strip().startswith("+30.0 (") and "asr (judge) on lab-harmful: higher" in line for line in lines
    )
