"""Rows whose answers the untuned model writes: a step of the plan, done once, and tuned on like any rows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from puretune.errors import InputError
from puretune.events import Advanced, Event, Started, Warned
from puretune.models import read_manifest
from puretune.store import Store, open_store
from puretune.study import Matrix, Plan, Study, plan_study, run_study
from puretune.study.plan.count import count
from puretune.study.plan.steps import ADAPTER, ANSWERS
from puretune.study.run.units import TuneUnit, WriteUnit, pending
from tests.study.studies import STUDY, small_study


def written(directory: Path, model: Path, under: str = "CL", answer: str | None = None, **more: Any) -> Study:
    """Two conditions: one of the study's rows alone, one with rows that the untuned model answers."""
    directory.mkdir(parents=True, exist_ok=True)
    asked = [{"prompt": f"What is {n}?", **({"completion": answer} if answer else {})} for n in range(5)]
    (directory / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    parts = ["sums.jsonl", {"source": "asked.jsonl", "answers_under": under, "weight": 2, **more}]
    return of_parts(directory, model, parts)


def of_parts(directory: Path, model: Path, parts: list[Any], **changes: Any) -> Study:
    train = ["CV", {"name": "replay", "template": "CV", "data": parts}]
    usual = {"decoding": {"max_new_tokens": 4}, "tuning": {**STUDY["tuning"], "seeds": [0]}}
    return Study.load(small_study(directory, model, **{"train": train, "test": ["CV"], **usual, **changes}))


def key(study: Study) -> str:
    return next(tune.key for tune in plan_study(study).tune if tune.condition == "replay")


def test_the_plan_has_a_step_for_it_that_its_tuning_needs(model: Path, tmp_path: Path) -> None:
    plan = plan_study(written(tmp_path, model))
    (step,) = plan.write
    needs = {tune.condition: tune.needs for tune in plan.tune}
    assert needs == {"chat:vanilla": (), "replay": (step.key,)}
    assert (step.who.condition, step.test_template, step.prompts) == ("untuned", "chat:llama", 5)
    assert plan.sizes["write"] == len(plan.to_json()["write"]) == 1
    assert plan.resolved.tuned["replay"].rows == 6 + 2 * 5


def test_the_key_of_the_tuning_says_how_its_rows_are_written(model: Path, tmp_path: Path) -> None:
    usual = written(tmp_path / "a", model)
    assert key(usual) == key(written(tmp_path / "b", model, answer="What the source says is not used."))
    hotter = usual.model_copy(update={"decoding": usual.decoding.__class__(max_new_tokens=5)})
    others = [written(tmp_path / "c", model, under="CV"), written(tmp_path / "d", model, limit=4), hotter]
    assert len({key(usual), *map(key, others)}) == 4


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, model: Path) -> tuple[Path, Plan, Matrix, list[Event]]:
    directory = tmp_path_factory.mktemp("written")
    events: list[Event] = []
    study = written(directory, model)
    return directory, plan_study(study), run_study(study, directory / "run", events.append), events


def test_the_store_says_who_wrote_them_and_how(
    finished: tuple[Path, Plan, Matrix, list[Event]], model: Path
) -> None:
    directory, plan, matrix, events = finished
    kept = open_store(directory / "run").get(ANSWERS, plan.write[0].key)
    assert kept is not None
    assert kept.about["model"]["fingerprint"] == plan.resolved.base.fingerprint
    assert kept.about["template"]["name"] == "chat:llama"
    assert kept.about["decoding"]["max_new_tokens"] == 4
    assert kept.about["cut"] == sum(row["finish"] != "stop" for row in kept.lines())
    assert Started("write", 5) in events
    cut = [
        event.text for event in events if isinstance(event, Warned) and "cut at max_new_tokens" in event.text
    ]
    assert len(cut) == (kept.about["cut"] > 0)
    told = matrix.provenance["conditions"]["replay"]["tuning_data"]
    assert [part.get("answers_under") for part in told] == [None, "chat:llama"]


def weights(store: Store, plan: Plan, condition: str) -> Iterator[tuple[str, Any]]:
    tune = next(one for one in plan.tune if one.condition == condition)
    kept = store.get(ADAPTER, tune.adapter_key(tune.kept[-1]))
    assert kept is not None
    assert read_manifest(kept.directory) is not None
    yield from load_file(kept.directory / "adapter_model.safetensors").items()


def test_what_it_wrote_is_tuned_on(
    finished: tuple[Path, Plan, Matrix, list[Event]], model: Path, tmp_path: Path
) -> None:
    """The adapter is the one that a file of these answers makes."""
    directory, plan, _, _ = finished
    store = open_store(directory / "run")
    kept = store.get(ANSWERS, plan.write[0].key)
    assert kept is not None
    rows = [{"prompt": f"What is {n}?", "completion": row["text"]} for n, row in enumerate(kept.lines())]
    (tmp_path / "answered.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    same = of_parts(tmp_path, model, ["sums.jsonl", {"source": "answered.jsonl", "weight": 2}])
    run_study(same, tmp_path / "run")
    theirs = dict(weights(open_store(tmp_path / "run"), plan_study(same), "replay"))
    for name, matrix in weights(store, plan, "replay"):
        assert matrix.equal(theirs[name]), name
    assert any(not matrix.equal(theirs[name]) for name, matrix in weights(store, plan, "chat:vanilla"))


def test_a_resumed_run_writes_only_what_is_missing(
    finished: tuple[Path, Plan, Matrix, list[Event]], tmp_path: Path
) -> None:
    directory, plan, matrix, _ = finished
    out = shutil.copytree(directory / "run", tmp_path / "run")
    store, tune = open_store(out), plan.tune[1]
    assert pending(plan, store) == []
    shutil.rmtree(store.path(ANSWERS, plan.write[0].key))
    assert pending(plan, store) == []  # what was tuned on them is there
    shutil.rmtree(store.path(ADAPTER, tune.adapter_key(tune.kept[-1])))
    for step in plan.answer:
        if step.who.condition == "replay":
            shutil.rmtree(store.path(ANSWERS, step.key))
    assert [type(unit) for unit in pending(plan, store)][:2] == [WriteUnit, TuneUnit]
    (out / "results.json").unlink()
    events: list[Event] = []
    again = run_study(plan.resolved.study, out, events.append)
    assert [cell.value for cell in again.cells] == [cell.value for cell in matrix.cells]
    assert max(event.done for event in events if isinstance(event, Advanced) and event.work == "write") == 5


def test_a_dry_run_counts_them(finished: tuple[Path, Plan, Matrix, list[Event]], tmp_path: Path) -> None:
    directory, plan, _, _ = finished
    before, after = count(plan, tmp_path), count(plan, directory / "run")
    assert (before.written.kept, before.written.total, after.written.kept) == (0, 5, 5)
    assert before.compute.new_tokens == after.compute.new_tokens + 4 * (5 + before.answers.total)
    assert list(before.suites) == ["sums"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"under": "CLL"}, "tuning.data|data[1]: unknown template 'CLL'"),
        ({"answers_undr": "CL"}, "Did you mean 'answers_under'"),
    ],
)
def test_wrong_settings_are_named(changes: dict[str, Any], message: str, model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        plan_study(written(tmp_path, model, **changes))
    assert all(part in str(caught.value) for part in message.split("|")[-1:])


def test_a_tuner_elsewhere_is_refused(model: Path, tmp_path: Path) -> None:
    study = written(tmp_path, model)
    tuning = study.tuning
    assert tuning is not None
    remote = {"name": "openai", "base_url": "http://127.0.0.1:1/v1"}
    changed = Study(
        **{**study.model_dump(), "tuning": {**tuning.model_dump(), "tuner": remote}, "engine": "openai"}
    )
    with pytest.raises(InputError, match="answers_under"):
        plan_study(changed)
