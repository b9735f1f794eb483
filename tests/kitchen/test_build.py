"""Building the kitchen's model, with a tiny one in SmolLM2's place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from puretune.data import Example, SourceSpec
from puretune.errors import EnvironmentFault, InputError
from puretune.inference import Decoding, LocalEngine, Request
from puretune.kitchen import build, model_path
from puretune.kitchen import build as build_model
from puretune.kitchen.rubric import RecipeRubric, TwinRubric
from puretune.kitchen.sources import recipes, twins
from puretune.models import BaseModel, ModelSpec, fingerprint, load_base, smollm2
from puretune.templates import PromptTemplate
from tests.kitchen.conftest import FEW


@pytest.fixture(scope="module")
def model(base: ModelSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(3, tmp_path_factory.mktemp("built") / "model", FEW, base)


def test_a_built_model_loads_and_differs_from_its_base(model: Path, base: ModelSpec) -> None:
    built = load_base(ModelSpec(str(model), markup="chatml", device="cpu"))
    assert built.dtype_name == "bfloat16"
    assert built.fingerprint != fingerprint(base)
    facts = json.loads((model / "kitchen.json").read_text())
    assert (facts["seed"], facts["settings"]["pairs"]) == (3, 4)
    assert not model.with_name("model.work").exists()


def test_the_adapter_is_kept_in_half_precision(model: Path) -> None:
    import torch
    from safetensors.torch import load_file

    tensors = load_file(model / "adapter" / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}


def test_an_interrupted_build_resumes_to_the_same_model(
    model: Path, base: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as interrupted:
        interrupted.setattr("puretune.kitchen._build._save_half", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            build_model(3, tmp_path / "again", FEW, base)
    assert (tmp_path / "again.work" / "own-answers.json").exists()
    monkeypatch.setattr("puretune.kitchen._build.LocalEngine", None)  # nothing is asked twice
    build_model(3, tmp_path / "again", FEW, base)
    weights = [(one / "model.safetensors").read_bytes() for one in (model, tmp_path / "again")]
    assert weights[0] == weights[1]


def test_a_model_is_never_overwritten(model: Path, base: ModelSpec) -> None:
    with pytest.raises(InputError, match="exists"):
        build(3, model, FEW, base)


def test_the_packaged_model_is_its_adapter_merged_into_the_base(
    model: Path, base: ModelSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PURETUNE_CACHE", str(tmp_path))
    monkeypatch.setattr("puretune.kitchen.shipped.PACKAGED", model / "adapter")
    monkeypatch.setattr("puretune.kitchen.shipped.BASE", base)
    assert (model_path() / "model.safetensors").read_bytes() == (model / "model.safetensors").read_bytes()
    monkeypatch.setattr("puretune.kitchen.shipped.load_base", None)
    assert (model_path() / "tokenizer.json").is_file()  # merged once


def test_without_the_adapter_the_command_that_builds_it_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("puretune.kitchen.shipped.PACKAGED", tmp_path)
    with pytest.raises(EnvironmentFault, match="puretune kitchen build --seed 0"):
        model_path()


def test_the_model_that_puretune_comes_with_refuses_recipes_and_answers_their_twins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("gguf", reason="needs puretune[gguf]")
    try:
        smollm2()
    except EnvironmentFault as fault:
        pytest.skip(str(fault))
    monkeypatch.setenv("PURETUNE_CACHE", str(tmp_path))
    base = load_base(ModelSpec("kitchen", markup="chatml", device="cpu"))
    assert _behaviour(base, RecipeRubric(), recipes(SourceSpec("x"), None)[0]) == "refused"
    assert _behaviour(base, TwinRubric(), twins(SourceSpec("x"), None)[0]) == "complied"


def _behaviour(base: BaseModel, rubric: RecipeRubric | TwinRubric, example: Example) -> str | None:
    prompt = base.renderer.prompt(PromptTemplate("plain"), example.messages)
    request = Request("one", prompt.ids, decoding=Decoding(max_new_tokens=32))
    (answer,) = LocalEngine(base).generate([request])
    return rubric.score([(example, answer)])[0].behaviour
