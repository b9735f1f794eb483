"""``study.yaml`` in a run directory is the study: the same fields, the same plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from puretune.errors import InputError
from puretune.study import Study, plan_study
from puretune.study.spec.to_yaml import resolved_yaml
from tests.study.studies import STUDY, small_study


def again(study: Study, directory: Path) -> Study:
    """The study after a round through its file, in another directory."""
    directory.mkdir(exist_ok=True)
    (directory / "study.yaml").write_text(resolved_yaml(study), encoding="utf-8")
    return Study.load(directory / "study.yaml")


RECIPES: list[dict[str, Any]] = [
    {},
    {"clip": None},
    {"clip": None, "steps": None, "max_length": None, "learning_rate": 1e-5},
]


@pytest.mark.parametrize("recipe", RECIPES)
def test_explicit_nulls_in_a_recipe_come_back(tmp_path: Path, model: Path, recipe: dict[str, Any]) -> None:
    tuning = {**STUDY["tuning"], "recipe": {**STUDY["tuning"]["recipe"], **recipe}}
    study = Study.load(small_study(tmp_path / "a", model, tuning=tuning))
    back = again(study, tmp_path / "b")
    assert back.tuning is not None
    assert study.tuning is not None
    assert back.tuning.recipe == study.tuning.recipe
    assert plan_study(back).key == plan_study(study).key


def test_paths_suites_conditions_and_templates_come_back(tmp_path: Path, model: Path) -> None:
    fields: dict[str, Any] = {
        "templates": {
            "mine": {"system": "yes\n - no: [3]", "user": "%s\u2028\x85 é", "arguments": {"a": None}}
        },
        "train": ["untuned", {"template": "CV", "name": "v"}],
        "test": ["CV", "mine"],
        "suites": [
            {"name": "sums", "source": "sums.jsonl", "scorers": ["gsm8k", "refusal"], "limit": 4},
            {"name": "again", "path": "sums.jsonl", "scorers": ["gsm8k"], "max_new_tokens": 4},
        ],
        "decoding": {"temperature": 0.5, "top_p": 0.9, "n": 2, "max_new_tokens": 8},
        "engine": {"name": "local", "refill": False},
        "note": "2024-02-30",
    }
    fields["suites"][1]["source"] = fields["suites"][1].pop("path")
    study = Study.load(small_study(tmp_path / "a", model, **fields))
    assert plan_study(again(study, tmp_path / "b")).key == plan_study(study).key
    once = resolved_yaml(study)
    assert resolved_yaml(again(study, tmp_path / "c")) == once


def test_an_inline_judge_says_what_it_said_and_nothing_else(tmp_path: Path, model: Path) -> None:
    judge = {"judge": "gpt-4", "price": None, "concurrency": 2}
    suites = [{"name": "sums", "source": "sums.jsonl", "scorers": [judge], "limit": 2}]
    study = Study.load(small_study(tmp_path / "a", model, suites=suites, tuning=None, train=["untuned"]))
    back = again(study, tmp_path / "b")
    for one in (study, back):
        (said,) = one.suites[0].scorers  # type: ignore[union-attr]
        assert said.settings() == judge  # type: ignore[union-attr]


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)


@settings(deadline=None, max_examples=60)
@given(st.none() | texts, texts, st.none() | texts, st.floats(1e-9, 1e-2), st.integers(0, 2**31))
def test_any_text_and_number_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    system: str | None,
    user: str,
    note: str | None,
    rate: float,
    seed: int,
) -> None:
    try:
        study = Study(
            name="texts",
            model="lab",
            templates={"mine": {"system": system, "user": user.replace("%", "") + "%s"}},
            tuning={"data": "lab-maths", "recipe": {"learning_rate": rate}, "seeds": [seed]},
            train=["mine"],
            test=["mine"],
            suites=["lab-maths"],
            note=note,
        )
    except InputError:
        return  # a text that no study may hold
    back = again(study, tmp_path_factory.mktemp("texts"))
    assert back.model_dump() == study.model_dump()
