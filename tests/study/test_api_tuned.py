"""A study of a model that only an API can tune: tuned, asked and scored at one provider on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from puretune.errors import InputError
from puretune.events import Advanced, Event
from puretune.models import read_manifest
from puretune.study import Study, plan_study, run_study
from tests.study.studies import small_study
from tests.tuning.openai.server import Provider, providing

BASE = "gpt-3.5-turbo-0125"


@pytest.fixture
def provider() -> Iterator[Provider]:
    with providing() as made:
        made.reply = lambda user: f"#### {len(user)}"
        yield made


def written(tmp_path: Path, unused: Path, url: str, **changes: Any) -> Path:
    tuner = {"name": "openai", "base_url": url, "poll_seconds": 0.01}
    usual: dict[str, Any] = {
        "model": BASE,
        "engine": {"name": "openai", "base_url": url, "concurrency": 1},
        "tuning": {"data": "sums.jsonl", "recipe": {"epochs": 2, "keep": [2]}, "tuner": tuner},
        "train": ["untuned", "CV"],
        "test": ["CV", "CL"],
    }
    return small_study(tmp_path, unused, **{**usual, **changes})


def test_it_is_tuned_asked_and_scored_without_weights(
    tmp_path: Path, model: Path, provider: Provider
) -> None:
    matrix = run_study(Study.load(written(tmp_path, model, provider.url)), tmp_path / "run")
    (job,) = provider.jobs.values()
    tuned = f"ft:{BASE}:####"
    assert (job["model"], job["fine_tuned_model"]) == (BASE, tuned)
    asked = [body["model"] for body in provider.requests]
    assert {name: asked.count(name) for name in asked} == {BASE: 8, tuned: 8, f"{tuned}:ckpt-step-10": 8}
    cells = {(cell.condition, cell.step, cell.test_template) for cell in matrix.cells}
    assert cells == {
        (condition, step, template)
        for condition, step in (("untuned", None), ("chat:vanilla", 2), ("chat:vanilla", None))
        for template in ("chat:vanilla", "chat:llama")
    }
    facts = matrix.provenance
    assert facts["tuner"]["name"] == "openai"
    found = read_manifest(tmp_path / "run" / facts["adapters"][-1]["path"])
    assert found is not None
    assert found.base["model"] == BASE


def test_a_stopped_study_starts_no_job_twice(tmp_path: Path, model: Path, provider: Provider) -> None:
    study = Study.load(written(tmp_path, model, provider.url))

    def stop(event: Event) -> None:
        if isinstance(event, Advanced) and "running" in event.note:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(study, tmp_path / "run", stop)
    run_study(study, tmp_path / "run")
    again = run_study(study, tmp_path / "run")
    assert (len(provider.jobs), len(provider.files)) == (1, 1)
    assert len({cell.condition for cell in again.cells}) == 2


def test_nothing_is_uploaded_unasked(tmp_path: Path, model: Path) -> None:
    path = written(tmp_path, model, "https://api.example.org/v1")
    with pytest.raises(InputError, match="LEAVES THIS MACHINE"):
        run_study(Study.load(path), tmp_path / "run")


def test_libraries_of_this_machine_are_in_no_key_of_a_job(
    tmp_path: Path, model: Path, provider: Provider
) -> None:
    made = plan_study(Study.load(written(tmp_path, model, provider.url)))
    assert "torch" not in json.dumps([step.inputs for step in made.tune])
