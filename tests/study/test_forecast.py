"""How long a run will take here: a stand-in of the model's shape is measured for a moment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from puretune.events import Event, Finished
from puretune.models import ModelSpec, stand_in
from puretune.names import spoken_time
from puretune.study import Plan, Study, count, measured_speed, plan_study
from puretune.study.plan.compute import Compute
from puretune.study.run import forecast
from puretune.study.run.forecast import Speed
from tests.study.studies import small_study


@pytest.fixture
def planned(model: Path, tmp_path: Path) -> Plan:
    return plan_study(Study.load(small_study(tmp_path / "study", model)))


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every model is worth a probe."""
    monkeypatch.setattr(forecast, "SMALL_MODEL", 1)


def test_a_small_model_is_not_measured(planned: Plan) -> None:
    assert measured_speed(planned, Compute(10**6, 100, 100, 100)) is None


@pytest.mark.usefixtures("large")
def test_tuning_and_answers_are_measured(planned: Plan, tmp_path: Path) -> None:
    work = count(planned, tmp_path).compute
    speed = measured_speed(planned, work)
    assert speed is not None
    assert speed.tune is not None
    assert min(speed.tune, speed.prompt, speed.new) > 0
    assert speed.said(work).endswith("of answers on this CPU (1 threads)")


@pytest.mark.usefixtures("large")
def test_a_run_says_it_before_it_begins(planned: Plan, tmp_path: Path) -> None:
    said: list[Event] = []
    forecast.forecast(planned, tmp_path, said.append)
    assert [one.note for one in said if isinstance(one, Finished) and "of tuning" in one.note]


@pytest.mark.usefixtures("large")
def test_a_model_that_no_stand_in_can_be_made_of_stops_nobody(
    planned: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast, "stand_in", lambda spec: 1 / 0)
    said: list[Event] = []
    forecast.forecast(planned, tmp_path, said.append)
    assert [one.note for one in said if isinstance(one, Finished)] == ["none for this plan and model"]


def test_a_stand_in_has_fewer_layers_and_says_how_much_work_is_missing(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = ModelSpec(str(model), device="cpu", threads=1)
    whole, times = stand_in(spec)
    assert times == 1
    monkeypatch.setattr("puretune.models._stand_in._PARAMETERS", 1)
    one, more = stand_in(spec)
    layers = [base.model.config.num_hidden_layers for base in (whole, one)]
    assert layers[0] > layers[1] == 1
    assert 1 < more <= layers[0]


def test_hours_are_work_over_speed() -> None:
    speed = Speed(tune=100.0, prompt=200.0, new=50.0, device="this CPU (2 threads)")
    work = Compute(10**8, tune_tokens=150_000, prompt_tokens=20_000, new_tokens=31_000)
    assert speed.said(work) == "about 25 min of tuning, at most 12 min of answers on this CPU (2 threads)"
    assert replace(speed, tune=None).said(work) == "at most 12 min of answers on this CPU (2 threads)"


@pytest.mark.parametrize(("seconds", "said"), [(40, "40 s"), (1500, "25 min"), (12_600, "3.5 h")])
def test_times_are_spoken(seconds: float, said: str) -> None:
    assert spoken_time(seconds) == said
