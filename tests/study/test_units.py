"""Units of work: what belongs together, what each needs and makes, and what is left of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from puretune.store import Store
from puretune.study import Plan, Study, plan_study, run_study
from puretune.study.plan.steps import ADAPTER, ANSWERS, VERDICTS
from puretune.study.run.units import GANG, POOL, AnswerUnit, ScoreUnit, TuneUnit, Unit, pending, units
from tests.study.studies import STUDY, small_study

TUNING = {**STUDY["tuning"], "tuner": "gang"}


def plan_of(directory: Path, model: Path, **changes: Any) -> Plan:
    return plan_study(Study.load(small_study(directory, model, **{"tuning": TUNING, **changes})))


def kinds(some: list[Unit]) -> list[str]:
    return [unit.work for unit in some]


def in_order(plan: Plan) -> Iterator[None]:
    """Fails where a unit needs what a later one makes."""
    made: set[Any] = set()
    for unit in units(plan):
        assert unit.needs <= made
        made |= unit.makes
        yield


CONDITIONS: list[Any] = ["untuned", "CV", {"template": "CL", "name": "second", "start": "CV"}]


def test_each_unit_comes_after_those_that_it_needs(tmp_path: Path, model: Path) -> None:
    plan = plan_of(tmp_path, model, train=CONDITIONS)
    assert len(list(in_order(plan))) == 2 + 5 * 2 + 1
    first, second = (unit for unit in units(plan) if isinstance(unit, TuneUnit))
    assert not first.needs
    assert second.needs == first.makes


def test_every_step_of_the_plan_is_in_one_unit(tmp_path: Path, model: Path) -> None:
    plan = plan_of(tmp_path, model)
    keys = [step.key for unit in units(plan) for step in unit.steps]
    assert sorted(keys) == sorted(step.key for step in (*plan.tune, *plan.answer, *plan.score))


def test_a_unit_says_what_it_needs_and_makes(tmp_path: Path, model: Path) -> None:
    plan = plan_of(tmp_path, model)
    made = [unit.makes for unit in units(plan)]
    tunes = {(ADAPTER, tune.adapter_key(step)) for tune in plan.tune for step in tune.kept}
    assert set().union(*made[:2]) == tunes
    for unit in units(plan):
        if isinstance(unit, AnswerUnit):
            assert unit.makes == {(ANSWERS, step.key) for step in unit.steps}
            assert unit.needs == {(ADAPTER, step.who.adapter) for step in unit.steps if step.who.adapter}
        if isinstance(unit, ScoreUnit):
            assert unit.makes == {(VERDICTS, step.key) for step in plan.score}
            assert unit.needs == {(ANSWERS, step.key) for step in plan.answer}


@pytest.mark.parametrize(
    ("seeds", "sizes"), [(1, [2]), (2, [2, 2]), (3, [3, 3]), (4, [3, 3, 2]), (7, [4, 3, 4, 3])]
)
def test_gangs_are_of_one_size_and_small(tmp_path: Path, model: Path, seeds: int, sizes: list[int]) -> None:
    plan = plan_of(tmp_path, model, tuning={**TUNING, "seeds": list(range(seeds))})
    found = [len(unit.steps) for unit in units(plan) if isinstance(unit, TuneUnit)]
    assert found == sizes
    assert max(found) <= GANG


def test_the_suites_of_an_adapter_and_a_template_are_a_pool(tmp_path: Path, model: Path) -> None:
    first = STUDY["suites"][0]
    suites = [{**first, "name": f"s{new}", "max_new_tokens": new} for new in range(1, POOL + 2)]
    plan = plan_of(tmp_path, model, suites=suites, tuning=None, train=["untuned"], test=["CV", "CL"])
    pools = [unit for unit in units(plan) if isinstance(unit, AnswerUnit)]
    assert [len(pool.steps) for pool in pools] == [POOL, 1, POOL, 1]
    assert all(len({step.test_template for step in pool.steps}) == 1 for pool in pools)


def test_what_is_left_keeps_to_its_unit(tmp_path: Path, model: Path) -> None:
    study = Study.load(small_study(tmp_path, model, tuning=TUNING))
    run_study(study, tmp_path / "run")
    plan, store = plan_study(study), Store(tmp_path / "run" / "store")
    assert pending(plan, store) == []
    assert kinds(pending(plan, None)) == kinds(list(units(plan)))
    shutil.rmtree(store.path(ADAPTER, plan.tune[0].adapter_key(plan.tune[0].kept[0])))
    assert pending(plan, store) == [], "an adapter that nobody asks is not tuned again"
    tuned = next(step for step in plan.answer if step.who.adapter == plan.tune[0].adapter_key(3))
    shutil.rmtree(store.path(ANSWERS, tuned.key))
    gang, pool = pending(plan, store)
    assert (gang.steps, pool.steps) == ((plan.tune[0],), (tuned,))
