"""Multiple choice by log-likelihood in a study: verdicts by the engine, resumable, beside other scorers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from puretune.data import Example
from puretune.errors import InputError
from puretune.events import Advanced, Event
from puretune.inference import LocalEngine
from puretune.models import ModelSpec, load_base
from puretune.scoring import ChoiceLikelihood, score_likelihoods
from puretune.study import Matrix, Study, plan_study, run_study
from puretune.templates import resolve_template
from tests.study.studies import STUDY, small_study

SCORERS = ["choice", "choice-loglikelihood"]
TUNING = {**STUDY["tuning"], "seeds": [0]}


class Stop(Exception):
    """Ends a run from its events."""


def choices(directory: Path, model: Path, **changes: Any) -> Study:
    """A study of three ARC questions, untuned and tuned on sums."""
    directory.mkdir(parents=True, exist_ok=True)
    options = {"text": ["trout", "whale", "the first"], "label": ["A", "B", "C"]}
    rows = [
        {"id": f"q{i}", "question": f"Which is {i}?", "choices": options, "answerKey": "ABC"[i]}
        for i in range(3)
    ]
    (directory / "arc.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    suite = {"name": "arc-easy", "path": "arc.jsonl", "scorers": SCORERS, "max_new_tokens": 2}
    usual = {"train": ["untuned", "CV"], "test": ["CV"], "tuning": TUNING, "suites": [suite]}
    return Study.load(small_study(directory, model, **{**usual, **changes}))


def verdicts(out: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (out / "verdicts.jsonl").read_text().splitlines()]
    return [row for row in rows if row["scorer"] == "choice-loglikelihood"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, model: Path) -> tuple[Path, Study, Matrix]:
    directory = tmp_path_factory.mktemp("choices")
    study = choices(directory, model)
    return directory / "run", study, run_study(study, directory / "run")


def test_verdicts_are_those_of_the_engine_asked_directly(
    finished: tuple[Path, Study, Matrix], model: Path
) -> None:
    out, study, _ = finished
    base = load_base(ModelSpec(str(model)))
    examples: tuple[Example, ...] = plan_study(study).resolved.suites[0].examples
    direct = score_likelihoods(
        ChoiceLikelihood(), examples, LocalEngine(base), base.renderer, resolve_template("CV")
    )
    stored = [row for row in verdicts(out) if row["condition"] == "untuned"]
    assert [row["values"] for row in stored] == [dict(one.values) for one in direct]
    assert [row["raw"]["loglikelihoods"] for row in stored] == [one.raw["loglikelihoods"] for one in direct]


def test_a_tuned_adapter_is_asked_not_the_base(finished: tuple[Path, Study, Matrix]) -> None:
    found: dict[str, list[Any]] = {}
    for row in verdicts(finished[0]):
        found.setdefault(row["condition"], []).append(row["raw"]["loglikelihoods"])
    assert set(found) == {"untuned", "chat:vanilla"}
    assert found["untuned"] != found["chat:vanilla"]


def test_every_metric_has_its_cell(finished: tuple[Path, Study, Matrix]) -> None:
    matrix = finished[2]
    assert {cell.label for cell in matrix.cells} == {
        "accuracy (choice)",
        "accuracy_norm (choice-loglikelihood)",
        "accuracy (choice-loglikelihood)",
    }
    by_likelihood = [cell for cell in matrix.cells if cell.scorer == "choice-loglikelihood"]
    assert {(cell.n, cell.counts["truncated"]) for cell in by_likelihood} == {(3, 0)}


def test_adding_the_scorer_generates_nothing_again(tmp_path: Path, model: Path) -> None:
    suite = {"name": "arc-easy", "path": "arc.jsonl", "scorers": ["choice"], "max_new_tokens": 2}
    run_study(choices(tmp_path, model, suites=[suite]), tmp_path / "run")
    events: list[Event] = []
    run_study(choices(tmp_path, model), tmp_path / "run", events.append)
    assert {event.work for event in events} == {"plan", "load model", "likelihoods"}


def test_an_interrupted_run_goes_on_to_the_same_verdicts(
    finished: tuple[Path, Study, Matrix], tmp_path: Path
) -> None:
    out, study, _ = finished

    def stop(event: Event) -> None:
        if isinstance(event, Advanced) and event.work == "likelihoods":
            raise Stop

    with pytest.raises(Stop):
        run_study(study, tmp_path / "run", stop)
    events: list[Event] = []
    run_study(study, tmp_path / "run", events.append)
    done = [event.done for event in events if isinstance(event, Advanced) and event.work == "likelihoods"]
    assert done == [1], "the first of the two shards was kept"
    assert "answer" not in {event.work for event in events}
    assert verdicts(tmp_path / "run") == verdicts(out)


def test_examples_without_options_are_named_before_anything_is_computed(tmp_path: Path, model: Path) -> None:
    suite = {"name": "sums", "source": "sums.jsonl", "scorers": ["choice-loglikelihood"]}
    events: list[Event] = []
    with pytest.raises(InputError, match=r"suite 'sums': example .* needs the right letter"):
        run_study(choices(tmp_path, model, suites=[suite]), tmp_path / "run", events.append)
    assert {event.work for event in events} == {"plan"}
