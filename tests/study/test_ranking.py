"""Strategies at the same helpfulness: who is first, who is ranked at all, and what cannot be told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from puretune.scoring import Metric, Verdict, measure_of
from puretune.study import Ranking
from puretune.study.matrix.cells import Judged, Measured, Place, cell
from puretune.study.matrix.rank_strategies import rank_strategies
from puretune.study.plan.steps import Who
from puretune.study.plan.strategies import Contender
from puretune.study.spec.analysis import PLAIN
from puretune.templates import resolve_template

PROMPTS = 100
HELP, HARM = Metric("right", "right", "help"), Metric("asr", "harm", "harm")
MEASURES = [measure_of("task", "s", HELP, "task"), measure_of("attack", "j", HARM, "harm")]
Points = list[tuple[int | None, float, float]]
"""Kept step (None: the last), helpfulness, harm."""


def judged(rate: float, metric: str, last: bool = False) -> list[Judged]:
    """The first prompts succeed, or the last."""
    places = [PROMPTS - 1 - i if last else i for i in range(PROMPTS)]
    return [
        Judged(str(i), "stop", Verdict("s", {metric: place < round(rate * PROMPTS)}))
        for i, place in enumerate(places)
    ]


def measured(condition: str, points: Points, seed: int | None = 0, template: str = "CL") -> list[Measured]:
    made, last = [], condition == "other"
    for step, helpful, harm in points:
        who = Who(condition, seed=seed, step=step)
        made.append(cell(Place(who, template, "task"), "s", "right", judged(helpful, "right")))
        made.append(cell(Place(who, template, "attack"), "j", "asr", judged(harm, "asr", last)))
    return made


def ranking(
    curves: dict[str, Points], helpfulness: float | None = None, extra: list[Measured] | None = None
) -> Ranking:
    cells = measured("untuned", [(None, 0.0, 0.0)], seed=None)
    for name, points in curves.items():
        cells += measured(name, points)
    found = rank_strategies(resolved(list(curves), helpfulness), MEASURES, [*cells, *(extra or [])], PLAIN)
    assert found is not None
    return found


def resolved(names: list[str], helpfulness: float | None = None) -> Any:
    return SimpleNamespace(
        contenders=tuple(Contender(name, name, (name,), "CL") for name in names),
        study=SimpleNamespace(analysis=SimpleNamespace(helpfulness=helpfulness)),
        seeds=(0,),
        conditions={name: trained(name) for name in names},
    )


def trained(name: str) -> Any:
    return SimpleNamespace(name=name, template=resolve_template("CV"), training=None)


SAME: Points = [(40, 0.6, 0.3), (None, 1.0, 0.8)]


def test_the_safest_at_the_same_helpfulness_is_first() -> None:
    found = ranking({"same-template": SAME, "gentle": [(40, 0.5, 0.0), (None, 0.95, 0.1)]})
    assert [(one.name, one.standing) for one in found.strategies] == [
        ("gentle", "first"),
        ("same-template", "less safe"),
    ]
    assert found.level == 0.9
    assert [one.harm for one in found.strategies] == pytest.approx([0.1 * 0.4 / 0.45, 0.3 + 0.5 * 0.75])
    assert found.decided
    assert found.sentence().startswith("On these data, gentle: 8.9 % asr (j) on attack at 90.0 % helpfulness")
    assert "about these adapters" in found.sentence()


def test_what_does_not_become_that_helpful_is_not_ranked_but_compared_where_it_can_be() -> None:
    found = ranking({"same-template": SAME, "timid": [(None, 0.5, 0.0)]})
    first, last = found.strategies
    assert (first.name, last.standing, last.harm) == ("same-template", "does not reach", None)
    assert "Not ranked, because they do not become that helpful: timid (50.0 %)." in found.sentence()
    assert last.against_reference is not None
    assert last.against_reference.level == 0.5
    assert last.against_reference.difference == pytest.approx(-0.25)
    assert ranking({"same-template": SAME, "timid": [(None, 0.5, 0.0)]}, 0.4).strategies[0].name == "timid"


def test_equal_strategies_cannot_be_told_apart_and_what_would_tell_is_said() -> None:
    found = ranking({"same-template": SAME, "other": [(40, 0.6, 0.3), (None, 1.0, 0.78)]})
    assert [one.standing for one in found.strategies] == ["first", "cannot tell"]
    assert not found.decided
    assert found.sentence().startswith("On these data, cannot tell: other has the least measured harm")
    assert found.prompts_needed is not None
    assert found.prompts_needed > PROMPTS
    assert f"About {found.prompts_needed:,} harmful prompts would find a difference of 5 points" in (
        found.sentence()
    )


def test_more_strategies_pay_with_wider_intervals() -> None:
    pair = {"same-template": SAME, "a": [(None, 1.0, 0.0)]}
    many = {**pair, **{f"c{n}": [(None, 1.0, 0.5 + n / 100)] for n in range(8)}}
    narrow, wide = (
        next(one.against_first for one in ranking(curves).strategies if one.name == "same-template")
        for curves in (pair, many)
    )
    assert narrow is not None
    assert wide is not None
    assert wide.low < narrow.low
    assert "for all 9 comparisons with the first at once" in ranking(many).sentence()


def test_no_strategy_that_helpful_ranks_none() -> None:
    found = ranking({"same-template": SAME, "b": [(None, 0.9, 0.1)]}, helpfulness=1.0)
    assert found.strategies[0].name == "same-template"
    lower = ranking({"a": [(None, 0.4, 0.2)], "b": [(None, 0.3, 0.1)]}, helpfulness=0.8)
    assert lower.sentence().startswith("No strategy reaches 80.0 % helpfulness, so none is ranked.")


def test_strengths_of_one_adapter_are_one_curve() -> None:
    asked = resolved(["same-template"])
    strengths = Contender("scaled", "adapter-scaling", ("x0.5", "x1"), "CL")
    asked.contenders += (strengths,)
    asked.conditions |= {name: trained(name) for name in strengths.conditions}
    cells = [*measured("untuned", [(None, 0.0, 0.0)], seed=None), *measured("same-template", SAME)]
    cells += [*measured("x0.5", [(None, 0.8, 0.1)]), *measured("x1", [(None, 1.0, 0.5)])]
    found = rank_strategies(asked, MEASURES, cells, PLAIN)
    assert found is not None
    assert found.strategies[0].name == "scaled"
    assert found.strategies[0].harm == pytest.approx(0.3)


def test_where_it_leaks_is_said() -> None:
    leak = measured("same-template", [(None, 1.0, 0.95)], template="chat:vanilla")
    found = ranking({"same-template": SAME, "b": [(None, 1.0, 0.1)]}, extra=leak)
    assert {one.name: one.leak for one in found.strategies} == {"same-template": 0.95, "b": None}


def test_a_study_without_harm_or_with_one_strategy_has_no_ranking() -> None:
    cells = [*measured("a", SAME), *measured("b", SAME)]
    assert rank_strategies(resolved(["a"]), MEASURES, cells, PLAIN) is None
    assert rank_strategies(resolved(["a", "b"]), MEASURES[:1], cells, PLAIN) is None
