"""Conditions of every kind in one matrix: own data, own recipe, a second round, an adapter that exists."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from puretune.errors import InputError
from puretune.events import Advanced, Event
from puretune.models import adapter_ref, load_base, read_manifest
from puretune.store import open_store
from puretune.study import Matrix, Plan, Study, plan_study, run_study
from puretune.study.plan.steps import ADAPTER
from puretune.study.plan.tuning import to_tune
from puretune.tuning import GangTuner
from puretune.tuning.gang._tuner import gangs
from tests.study.studies import small_study


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """An adapter that another run made."""
    out = tmp_path_factory.mktemp("earlier")
    study = small_study(out, model, train=["CA"], test=["CV"])
    run_study(Study.load(study), out / "run")
    return next(path.parent for path in (out / "run/store/adapter").rglob("adapter_model.safetensors"))


def of_every_kind(directory: Path, model: Path, adapter: Path, **changes: Any) -> Path:
    """Untuned, the usual, own data, own recipe, a second and third round, and an adapter that exists."""
    directory.mkdir(parents=True, exist_ok=True)
    rows = [{"question": f"{i} times {i}?", "answer": f"#### {i * i}"} for i in range(5)]
    (directory / "times.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    train = [
        "untuned",
        {"name": "third", "start": "second", "template": "CV", "recipe": {"steps": 1}},
        {"name": "second", "start": "chat:vanilla", "template": "CV", "data": "times.jsonl"},
        "CV",
        {"name": "slow", "template": "CL", "recipe": {"learning_rate": 1e-4, "clip": None}},
        {
            "name": "mixed",
            "template": "CV",
            "data": ["sums.jsonl", {"source": "times.jsonl", "template": "CL"}],
        },
        {"name": "plain loop", "template": "CL", "tuner": "loop"},
        {"name": "on", "template": "CV", "start": str(adapter)},
        {"name": "earlier", "adapter": str(adapter)},
    ]
    return small_study(directory, model, **{"train": train, "test": ["CV"], **changes})


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, model: Path, adapter: Path
) -> tuple[Path, Plan, Matrix]:
    directory = tmp_path_factory.mktemp("every")
    study = Study.load(of_every_kind(directory, model, adapter))
    return directory / "run", plan_study(study), run_study(study, directory / "run")


def test_the_matrix_has_conditions_of_every_kind_in_their_order(finished: tuple[Path, Plan, Matrix]) -> None:
    matrix = finished[2]
    names = ["untuned", "third", "second", "chat:vanilla", "slow", "mixed", "plain loop", "on", "earlier"]
    assert list(matrix.conditions) == names
    assert [matrix.kinds[name] for name in names] == ["untuned", *["tuned"] * 7, "adapter"]
    assert {cell.seed for cell in matrix.cells if cell.condition == "third"} == {0, 1}
    assert all(cell.value is not None for cell in matrix.cells)


def test_each_is_tuned_on_its_own_rows_with_its_own_recipe(finished: tuple[Path, Plan, Matrix]) -> None:
    resolved = finished[1].resolved.tuned
    sizes = {name: [len(part.examples) for part in training.mix] for name, training in resolved.items()}
    assert sizes["chat:vanilla"] == [6]
    assert sizes["second"] == [5]
    assert sizes["mixed"] == [6, 5]
    assert (resolved["slow"].recipe.learning_rate, resolved["slow"].recipe.clip) == (1e-4, None)
    assert (resolved["slow"].recipe.rank, resolved["slow"].recipe.steps) == (2, 3)
    assert resolved["plain loop"].tuner.name == "loop"
    facts = finished[2].provenance
    assert facts["conditions"]["slow"]["recipe"]["learning_rate"] == 1e-4
    assert facts["conditions"]["second"]["tuning_data"][0]["rows"] == 5


def test_a_second_round_starts_from_the_first_seed_by_seed(finished: tuple[Path, Plan, Matrix]) -> None:
    out, planned, _ = finished
    store = open_store(out)
    steps = {(tune.condition, tune.seed): tune for tune in planned.tune}
    for later, earlier in (("second", "chat:vanilla"), ("third", "second")):
        for seed in (0, 1):
            step, before = steps[later, seed], steps[earlier, seed]
            assert step.start == before.adapter_key(before.kept[-1])
            first = store.get(ADAPTER, step.start)
            made = store.get(ADAPTER, step.adapter_key(step.kept[-1]))
            assert first is not None
            assert made is not None
            manifest = read_manifest(made.directory)
            assert manifest is not None
            assert manifest.start == adapter_ref(first.directory).digest
    assert [steps[name, 0].round for name in ("chat:vanilla", "second", "third", "on")] == [0, 1, 2, 0]


def test_conditions_that_differ_in_data_or_rate_train_in_one_gang(
    finished: tuple[Path, Plan, Matrix], tmp_path: Path
) -> None:
    planned = finished[1]
    base = load_base(planned.resolved.base.spec)
    together = [tune for tune in planned.tune if tune.condition in ("chat:vanilla", "slow", "mixed")]
    from puretune.tuning._jobs import prepare

    jobs = [prepare(to_tune(planned.resolved, tune, tmp_path), base, GangTuner.name) for tune in together]
    assert [len(members) for members in gangs(jobs, base)] == [6]


def test_stopped_in_any_round_it_resumes_to_the_same_results(
    finished: tuple[Path, Plan, Matrix], tmp_path: Path, model: Path, adapter: Path
) -> None:
    study = Study.load(of_every_kind(tmp_path, model, adapter))
    for work, at in (("tune", 2), ("tune second", 1), ("tune third", 1), ("answer", 1)):

        def stop(event: Event, work: str = work, at: int = at) -> None:
            if isinstance(event, Advanced) and event.work.startswith(work) and event.done >= at:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_study(study, tmp_path / "run", stop)
    again = run_study(study, tmp_path / "run")
    assert [cell.value for cell in again.cells] == [cell.value for cell in finished[2].cells]
    kept = sorted(path.read_bytes() for path in (tmp_path / "run/store").rglob("adapter_model.safetensors"))
    whole = sorted(path.read_bytes() for path in (finished[0] / "store").rglob("adapter_model.safetensors"))
    assert kept == whole


def test_the_copy_in_the_run_directory_plans_the_same(finished: tuple[Path, Plan, Matrix]) -> None:
    assert plan_study(Study.load(finished[0] / "study.yaml")).key == finished[1].key


def test_a_condition_that_only_others_start_from_is_tuned_but_not_tested(
    tmp_path: Path, model: Path, adapter: Path
) -> None:
    pairs = ["third -> CV"]
    planned = plan_study(Study.load(of_every_kind(tmp_path, model, adapter, pairs=pairs)))
    assert [tune.condition for tune in planned.tune] == ["chat:vanilla"] * 2 + ["second"] * 2 + ["third"] * 2
    assert {step.who.condition for step in planned.answer} == {"third"}


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        ([{"name": "a", "template": "CV", "start": "b"}], "train[0].start: unknown condition"),
        ([{"name": "a", "template": "CV", "start": "a"}], "in a circle: a -> a"),
        (
            [{"name": n, "template": "CV", "start": s} for n, s in (("a", "b"), ("b", "c"), ("c", "a"))],
            "in a circle: a -> b -> c -> a",
        ),
        (["untuned", {"name": "a", "template": "CV", "start": "untuned"}], "'untuned' is not tuned here"),
        ([{"name": "a", "template": "CV", "recipe": {"rate": 1}}], "train[0].recipe.rate: unknown key"),
        ([{"name": "a", "template": "CV", "recipe": {"rank": None}}], "train[0].recipe.rank"),
        ([{"name": "a", "template": "CV", "data": "no.jsonl"}], "train[0].data"),
        ([{"name": "a", "template": "CV", "tuner": "bang"}], "train[0].tuner: unknown tuner"),
        ([{"name": "a", "adapter": "x", "data": "sums.jsonl"}], "train[0]: `data` needs `template`"),
    ],
)
def test_wrong_conditions_are_named_with_their_place(
    tmp_path: Path, model: Path, train: list[Any], expected: str
) -> None:
    with pytest.raises(InputError) as refused:
        plan_study(Study.load(small_study(tmp_path, model, train=train)))
    assert expected in str(refused.value)


def test_a_study_of_conditions_with_own_data_needs_no_tuning_section(tmp_path: Path, model: Path) -> None:
    train = [{"name": "a", "template": "CV", "data": "sums.jsonl", "recipe": {"steps": 1, "rank": 2}}]
    planned = plan_study(Study.load(small_study(tmp_path, model, train=train, tuning=None)))
    assert [(tune.condition, tune.seed) for tune in planned.tune] == [("a", 0)]
