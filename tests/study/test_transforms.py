"""Conditions with transforms: tuned once, changed after tuning, answered like any other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from puretune.errors import InputError
from puretune.events import Advanced, Event
from puretune.models import read_manifest
from puretune.models.transforms.low_rank import LowRank, read_low_rank, weighted_sum
from puretune.store import open_store
from puretune.study import Matrix, Plan, Study, plan_study, run_study
from puretune.study.plan.steps import ADAPTER, ANSWERS
from tests.study.studies import small_study


def scaled(alpha: float) -> list[dict[str, Any]]:
    return [{"name": "scale", "alpha": alpha}]


def merged(other: str, *weights: float) -> list[dict[str, Any]]:
    return [{"name": "merge", "with": other, **({"weights": list(weights)} if weights else {})}]


def transformed(directory: Path, model: Path, *more: Any, **changes: Any) -> Path:
    train = [
        "untuned",
        "CV",
        {"name": "none", "template": "CV", "transforms": scaled(0.0)},
        {"name": "half", "template": "CV", "transforms": scaled(0.5)},
        {"name": "both", "template": "CV", "transforms": merged("CL", 0.8, 0.2)},
        {"name": "chain", "template": "CL", "transforms": [*scaled(-3), *merged("both")]},
        "CL",
        *more,
    ]
    return small_study(directory, model, **{"train": train, "test": ["CV"], **changes})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, model: Path) -> tuple[Path, Plan, Matrix]:
    directory = tmp_path_factory.mktemp("transformed")
    study = Study.load(transformed(directory, model))
    return directory / "run", plan_study(study), run_study(study, directory / "run")


def adapters(out: Path, plan: Plan) -> dict[tuple[str, int | None], Path]:
    """Where the adapter of each condition and seed lies."""
    store = open_store(out)
    kept = {(s.who.condition, s.who.seed): s.who.adapter for s in plan.answer if s.who.adapter}
    found = {who: store.get(ADAPTER, key) for who, key in kept.items()}
    return {who: stored.directory for who, stored in found.items() if stored is not None}


def token_ids(out: Path, plan: Plan, condition: str) -> list[list[int]]:
    store = open_store(out)
    shards = [step for step in plan.answer if step.who.condition == condition]
    kept = store.get(ANSWERS, shards[0].key)
    assert kept is not None
    return [row["token_ids"] for row in kept.lines()]


def test_conditions_that_share_a_training_tune_once(finished: tuple[Path, Plan, Matrix]) -> None:
    out, plan, _ = finished
    assert [(step.condition, step.seed) for step in plan.tune] == [
        ("chat:vanilla", 0),
        ("chat:vanilla", 1),
        ("chat:llama", 0),
        ("chat:llama", 1),
    ]
    assert [step.condition for step in plan.transform] == [
        name for name in ("none", "half", "both", "chain") for _ in range(2)
    ]
    assert len(list((out / "store").rglob("adapter_model.safetensors"))) == 4 + 8


def test_the_plan_is_a_graph_in_which_each_step_names_what_it_needs(
    finished: tuple[Path, Plan, Matrix],
) -> None:
    out, plan, _ = finished
    written = json.loads((out / "plan.json").read_text())
    there = {tune.adapter_key(step) for tune in plan.tune for step in tune.kept}
    for kind in ("transform", "answer", "score", "cell"):
        for step in written[kind]:
            assert set(step["needs"]) <= there
            there.add(step["key"])
    assert all(step["needs"] for step in written["transform"] + written["score"] + written["cell"])
    assert plan.sizes == {
        "write": 0, "tune": 4, "transform": 8, "answer": 13, "score": 13, "sampled_score": 0, "cell": 13
    }  # fmt: skip


def test_scaled_by_zero_it_answers_as_the_untuned_model(finished: tuple[Path, Plan, Matrix]) -> None:
    out, plan, _ = finished
    assert token_ids(out, plan, "none") == token_ids(out, plan, "untuned")
    assert token_ids(out, plan, "chat:vanilla") != token_ids(out, plan, "untuned")


def test_each_adapter_is_what_its_transforms_say(finished: tuple[Path, Plan, Matrix]) -> None:
    out, plan, _ = finished
    found = adapters(out, plan)
    for seed in (0, 1):
        names = ("chat:vanilla", "chat:llama", "half", "both", "chain")
        cv, cl, half, both, chain = (read_low_rank(found[name, seed]) for name in names)
        assert same(half, weighted_sum([0.5], [cv]))
        assert same(both, weighted_sum([0.8, 0.2], [cv, cl]))
        assert same(chain, weighted_sum([-1.5, 0.5], [cl, both]))


def same(one: LowRank, other: LowRank) -> bool:
    """Whether two adapters add the same to each layer."""
    return one.pairs.keys() == other.pairs.keys() and all(
        (b @ a - other.pairs[name][1] @ other.pairs[name][0]).abs().max() < 1e-6
        for name, (a, b) in one.pairs.items()
    )


def test_the_adapters_manifest_says_what_was_done(finished: tuple[Path, Plan, Matrix]) -> None:
    out, plan, matrix = finished
    manifest = read_manifest(adapters(out, plan)["both", 1])
    assert manifest is not None
    assert manifest.transformed is not None
    assert (manifest.condition, manifest.seed) == ("both", 1)
    assert manifest.transformed["transforms"] == [{"name": "merge", "version": "1", "weights": [0.8, 0.2]}]
    assert len(manifest.transformed["adapters"]) == 2
    assert matrix.provenance["transforms"]["half"] == [{"name": "scale", "version": "1", "alpha": 0.5}]
    assert {one["condition"] for one in matrix.provenance["adapters"]} >= {"half", "both"}


def test_interrupted_it_resumes_to_the_same_files(
    finished: tuple[Path, Plan, Matrix], tmp_path: Path, model: Path
) -> None:
    study = Study.load(transformed(tmp_path, model))
    for work, at in (("tune", 2), ("answer", 12)):

        def stop(event: Event, work: str = work, at: int = at) -> None:
            if isinstance(event, Advanced) and event.work.startswith(work) and event.done >= at:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_study(study, tmp_path / "run", stop)
    run_study(study, tmp_path / "run")
    for name in ("answers.jsonl", "verdicts.jsonl", "plan.json"):
        assert (tmp_path / "run" / name).read_bytes() == (finished[0] / name).read_bytes()


def test_a_damaged_adapter_is_made_again(finished: tuple[Path, Plan, Matrix]) -> None:
    out, plan, matrix = finished
    weights = adapters(out, plan)["both", 0] / "adapter_model.safetensors"
    before = weights.read_bytes()
    weights.write_bytes(b"damaged")
    assert run_study(Study.load(out.parent / "study.yaml"), out).cells == matrix.cells
    assert weights.read_bytes() == before


def test_an_adapter_that_exists_is_transformed_too(
    finished: tuple[Path, Plan, Matrix], tmp_path: Path, model: Path
) -> None:
    found = adapters(*finished[:2])
    one, other = str(found["chat:vanilla", 0]), str(found["chat:llama", 0])
    train = [
        {"name": "mine", "adapter": one, "transforms": merged(other, 0.8, 0.2)},
        {"name": "as it is", "adapter": one},
    ]
    study = Study.load(small_study(tmp_path, model, train=train, test=["CV"], tuning=None))
    plan, matrix = plan_study(study), run_study(study, tmp_path / "run")
    assert [cell.seed for cell in matrix.cells if cell.condition == "mine"] == [None, None]
    assert same(
        read_low_rank(adapters(tmp_path / "run", plan)["mine", None]), read_low_rank(found["both", 0])
    )


def test_a_transform_changes_the_key_of_what_follows_and_of_nothing_before(
    tmp_path: Path, model: Path
) -> None:
    def planned(alpha: float) -> Plan:
        half = {"name": "half", "template": "CV", "transforms": scaled(alpha)}
        return plan_study(Study.load(small_study(tmp_path, model, train=["CV", half], test=["CV"])))

    one, other = planned(0.5), planned(0.25)
    assert [step.key for step in one.tune] == [step.key for step in other.tune]
    assert not {step.key for step in one.transform} & {step.key for step in other.transform}
    shared = {step.key for step in one.answer} & {step.key for step in other.answer}
    assert shared == {step.key for step in one.answer if step.who.condition == "chat:vanilla"}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"template": "CV", "transforms": [{"name": "skale"}]}, "train[7].transforms[0]: unknown transform"),
        ({"template": "CV", "transforms": [{"name": "scale", "alfa": 1}]}, "Did you mean 'alpha'?"),
        ({"template": "CV", "transforms": merged("hlaf")}, "Did you mean 'half'?"),
        ({"template": "CV", "transforms": merged("untuned")}, "'untuned' has no adapter"),
        ({"template": "CV", "transforms": merged("new")}, "in a circle: new -> new"),
        ({"template": "CV", "start": "half"}, "Start from a condition without them"),
        ({"template": "untuned", "transforms": scaled(1)}, "the untuned model has none"),
        ({"checkpoint": "./model", "transforms": scaled(1)}, "it is a full checkpoint"),
    ],
)
def test_what_cannot_be_transformed_is_said_before_anything_is_tuned(
    tmp_path: Path, model: Path, entry: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError) as error:
        plan_study(Study.load(transformed(tmp_path, model, {"name": "new", **entry})))
    assert said in str(error.value)
