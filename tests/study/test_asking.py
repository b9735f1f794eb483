"""What is asked together, what is asked at all, and that nothing is asked or trained twice."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from puretune.inference import LocalEngine, Request
from puretune.store import Store
from puretune.study import Study, plan_study, run_study
from puretune.study.plan.steps import ANSWERS
from puretune.tuning import LoopTuner
from tests.study.studies import STUDY, small_study

TUNING = {**STUDY["tuning"], "seeds": [0], "tuner": "loop"}
SUITES = [STUDY["suites"][0], {**STUDY["suites"][0], "name": "more", "seed": 1, "limit": 3}]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[Request]]:
    """Every call of the engine, as the requests that it was given; the engine answers as ever."""
    calls: list[list[Request]] = []
    generate = LocalEngine.generate

    def counted(engine: LocalEngine, requests: Any, *rest: Any) -> Iterator[Any]:
        calls.append(list(requests))
        return generate(engine, calls[-1], *rest)

    monkeypatch.setattr(LocalEngine, "generate", counted)
    return calls


@pytest.fixture
def tuned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The name of every condition that the tuner was given."""
    names: list[str] = []
    tune = LoopTuner.tune

    def counted(tuner: LoopTuner, conditions: Any, *rest: Any) -> Iterator[Any]:
        names.extend(condition.name for condition in conditions)
        return tune(tuner, conditions, *rest)

    monkeypatch.setattr(LoopTuner, "tune", counted)
    return names


def study_at(directory: Path, model: Path, **changes: Any) -> Study:
    return Study.load(small_study(directory, model, **{"tuning": TUNING, **changes}))


def test_the_suites_of_an_adapter_and_a_template_are_asked_together(
    tmp_path: Path, model: Path, asked: list[list[Request]]
) -> None:
    run_study(study_at(tmp_path, model, suites=SUITES), tmp_path / "run")
    assert len(asked) == 3 * 2
    shared = {request.prompt[: request.shared] for call in asked for request in call}
    assert len(shared) == 2  # one prefix a template
    assert min(map(len, shared)) > 1


def test_one_other_cell_is_all_that_a_changed_cell_costs(
    tmp_path: Path, model: Path, asked: list[list[Request]], tuned: list[str]
) -> None:
    pairs = ["untuned -> CV", "CV -> CV", "CV -> CL"]
    first = study_at(tmp_path, model, train=None, test=None, pairs=pairs)
    before = run_study(first, tmp_path / "run")
    assert (len(asked), tuned) == (3, ["chat:vanilla seed 0"])
    changed = study_at(tmp_path, model, train=None, test=None, pairs=[*pairs[:2], "CV -> CA"])
    after = run_study(changed, tmp_path / "run")
    assert [len(call) for call in asked[3:]] == [4]
    assert tuned == ["chat:vanilla seed 0"]
    kept = [cell for cell in before.cells if cell.test_template == "chat:vanilla"]
    assert [cell for cell in after.cells if cell.test_template == "chat:vanilla"] == kept


def test_a_finished_study_asks_and_trains_nothing(
    tmp_path: Path, model: Path, asked: list[list[Request]], tuned: list[str]
) -> None:
    study = study_at(tmp_path, model)
    run_study(study, tmp_path / "run")
    done = len(asked), len(tuned)
    run_study(study, tmp_path / "run")
    assert (len(asked), len(tuned)) == done


def test_a_resumed_run_asks_what_is_missing_in_the_batches_of_a_whole_one(
    tmp_path: Path, model: Path, asked: list[list[Request]]
) -> None:
    study = study_at(tmp_path, model)
    run_study(study, tmp_path / "run")
    whole = list(asked)
    store, steps = Store(tmp_path / "run" / "store"), plan_study(study).answer
    for step in steps[-2:]:
        shutil.rmtree(store.path(ANSWERS, step.key))
    (tmp_path / "run" / "results.json").unlink()
    run_study(study, tmp_path / "run")
    assert asked[len(whole) :] == whole[-2:]
