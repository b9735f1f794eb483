"""The first screen: what to serve in plain words, and the plots and tables that stand behind it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puretune.report import concluded, html_text, verdict
from puretune.report._category_tables import category_tables
from puretune.report._curves import plots
from puretune.report._frontier import Ends, Frontier, Point, frontier, placed
from puretune.report._view import grids, told_by
from puretune.study import CategoryRate, Matrix, Recommendation
from puretune.study.matrix.recommendation import recommendation
from puretune.study.spec.analysis import Analysis
from tests.report.matrices import matrix, one_cell, pairs, paper_like, provenance, square, tables_of

RATES = {
    (None, "chat:llama"): (0.01, 0.62),
    ("chat:llama", "chat:llama"): (0.34, 0.62),
    ("chat:vanilla", "chat:llama"): (0.04, 0.58),
}


def advised(study: Matrix) -> Matrix:
    study = replace(study, provenance=provenance())
    return replace(study, recommendation=recommendation(study, tables_of(study.cells), Analysis()))


def test_the_verdict_counts_answers_and_sets_the_untuned_model_and_the_same_template_beside_them() -> None:
    found = verdict(advised(pairs(RATES)))
    assert found is not None
    assert found.title == "Serve chat:vanilla under chat:llama"
    said = " ".join(found.sentences)
    assert (
        "4 of 100 harmful requests answered, lab-harmful (95 % interval 1.1 to 9.9 %; untuned 1, same "
        "template 34)" in said
    )
    assert "58 of 100 Exact match (gsm8k) on lab-maths" in said
    assert "One training run: run 3 seeds before shipping." in said


def test_over_several_training_runs_it_gives_shares_and_asks_for_no_more_runs() -> None:
    study = advised(square(paper_like, templates=("chat:vanilla", "chat:llama"), seeds=(0, 1, 2)))
    found = verdict(study)
    assert found is not None
    assert found.figures[0].value == "6.0 %"
    assert "One training run" not in " ".join(found.sentences)


def test_where_ptst_is_not_chosen_it_says_what_ptst_would_give() -> None:
    rates = {**RATES, ("chat:vanilla", "chat:llama"): (0.04, 0.2)}
    found = verdict(advised(pairs(rates)))
    assert found is not None
    assert "PTST instead, chat:vanilla under chat:llama: Attack success rate (judge) -30.0" in found.instead


@pytest.mark.parametrize("study", [pairs(RATES), matrix([])])
def test_without_a_recommendation_there_is_no_verdict(study: Matrix) -> None:
    nothing = Recommendation("cannot tell", None, None, "no suite asks for harm")
    assert verdict(study) is verdict(replace(study, recommendation=nothing)) is None


def test_a_conclusion_is_one_of_four() -> None:
    one = pairs(RATES).comparisons[0]
    assert concluded(one) == "higher"
    assert concluded(replace(one, conclusion="equivalent")) == "equivalent within 5 points"
    unsure = replace(one, conclusion="inconclusive", n=4, prompts=4, prompts_factor=39.8)
    assert concluded(unsure) == "cannot tell (n = 4; about 160 prompts would)"
    assert concluded(replace(unsure, prompts_factor=None)) == "cannot tell (n = 4)"
    several = replace(unsure, seeds=3, seeds_needed=9, prompts_factor=None)
    assert concluded(several) == "cannot tell (3 training runs, n = 4; about 9 seeds would)"


def test_a_matrix_that_is_the_rest_of_another_is_one_line() -> None:
    study = square(
        lambda train, test, metric, _: (0.3 if metric == "asr" else 0.7) if train == test else 0.5,
        templates=("chat:vanilla", "chat:llama"),
        suites=(("lab-harmful", "asr"), ("lab-harmful", "refusal_rate"), ("lab-maths", "exact_match")),
    )
    harm, helps, refusals = grids(study)
    assert told_by(refusals, [harm, helps]) is harm
    assert told_by(helps, [harm]) is None
    assert "100 % minus Attack success rate (judge) in every cell" in html_text(study)


def test_the_frontier_has_every_cell_with_both_values_and_higher_is_better_both_ways() -> None:
    found = frontier(pairs(RATES))
    assert found is not None
    assert found.safety == "100 - Attack success rate (judge) on lab-harmful, %"
    points = {point.label: point for point in found.points}
    assert {label: point.kind for label, point in points.items()} == {
        "untuned -> CL": "untuned",
        "CL -> CL": "same",
        "CV -> CL": "ptst",
    }
    safe = points["CV -> CL"].safe
    assert safe.value == pytest.approx(96)
    assert safe.low == pytest.approx(90.1, abs=0.05)
    assert safe.low < safe.value < safe.high
    assert frontier(matrix([one_cell(None, "chat:llama", "lab-harmful", "asr", 0.1)])) is None


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=1, max_size=30))
def test_labels_of_the_frontier_do_not_overlap(values: list[tuple[float, float]]) -> None:
    points = [Point(f"P{i} -> Q", "other", Ends(x, x, x), Ends(y, y, y)) for i, (x, y) in enumerate(values)]
    boxes = []
    for one in placed(Frontier("a", "b", points)):
        if one.label:
            x, y, anchor = one.label
            left = x if anchor == "start" else x - 6.1 * len(one.point.label)
            boxes.append((left, y - 10, left + 6.1 * len(one.point.label), y + 2))
    for i, a in enumerate(boxes):
        assert not any(a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3] for b in boxes[i + 1 :])


def test_categories_are_tabled_for_the_cells_of_the_finding() -> None:
    rates = tuple(
        CategoryRate("lab-harmful", "judge", "asr", train, "chat:llama", name, 50, value, 0.0, 1.0)
        for train in ("untuned", "chat:llama", "chat:vanilla", "other")
        for name, value in (("drugs", 0.1), ("malware", 0.4))
    )
    (table,) = category_tables(replace(pairs(RATES), categories=rates))
    assert table.columns == ["untuned -> CL", "CL -> CL", "CV -> CL"]
    assert [name for name, _ in table.rows] == ["drugs", "malware"]
    assert {cell[1] for _, cells in table.rows for cell in cells if cell} == {"g16", "g4"}


def test_a_curve_has_a_place_for_every_kept_step() -> None:
    cells = [
        one_cell(train, "chat:llama", "lab-harmful", "asr", (step or 300) / 1000, step=step)
        for train in ("chat:llama", "chat:vanilla")
        for step in (100, 200, None)
    ]
    (plot,) = plots(matrix(cells))
    assert [name for _, name in plot.ticks] == ["100", "200", "end"]
    assert [len(curve.places) for curve in plot.curves] == [3, 3]
    assert abs(plot.curves[0].label_y - plot.curves[1].label_y) >= 12
    assert plots(pairs(RATES)) == []
