"""What adapters ask of the base is checked when a study is planned, before anything is computed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from puretune.errors import InputError
from puretune.models import save_lora
from puretune.study import Study, plan_study
from tests.models.test_lora import random_lora
from tests.study.studies import small_model, small_study
from tests.tiny import tiny_base


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_model(tmp_path_factory.mktemp("base"))


@pytest.fixture
def adapter(model: Path, tmp_path: Path) -> Path:
    """Rank 4, alpha 16."""
    base, path = tiny_base(model), tmp_path / "adapter"
    path.mkdir()
    save_lora(path, random_lora(base.model), base.model, "base", None)
    return path


def change(adapter: Path, **fields: Any) -> None:
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


def refusal(directory: Path, model: Path, entry: dict[str, Any], **changes: Any) -> str:
    study = Study.load(small_study(directory, model, train=[entry], **changes))
    with pytest.raises(InputError) as caught:
        plan_study(study, dry=True)
    return str(caught.value)


def recipe(**fields: Any) -> dict[str, Any]:
    return {"data": "sums.jsonl", "recipe": {"steps": 1, "rank": 4, "alpha": 16, **fields}}


def test_an_adapter_that_is_not_applied_in_full_is_named_with_its_place(
    adapter: Path, model: Path, tmp_path: Path
) -> None:
    change(adapter, alora_invocation_tokens=[4])
    said = refusal(tmp_path, model, {"name": "a", "adapter": "adapter"})
    assert "train[0]" in said
    assert "alora_invocation_tokens [4] is not supported" in said


def test_numbers_that_are_not_finite_are_found_when_the_study_is_planned(
    adapter: Path, model: Path, tmp_path: Path
) -> None:
    weights = load_file(adapter / "adapter_model.safetensors")
    save_file({name: one / 0 for name, one in weights.items()}, adapter / "adapter_model.safetensors")
    assert "are not finite" in refusal(tmp_path, model, {"name": "a", "adapter": "adapter"})


def test_vllm_is_given_plain_lora_only(adapter: Path, model: Path, tmp_path: Path) -> None:
    change(adapter, rank_pattern={"layers.0.self_attn.q_proj": 4})
    said = refusal(tmp_path, model, {"name": "a", "adapter": "adapter"}, engine="vllm")
    assert "train[0]" in said
    assert "rank_pattern" in said
    assert "vLLM's LoRA does not apply" in said


@pytest.mark.parametrize(
    ("fields", "tuning", "said"),
    [
        ({}, recipe(alpha=32), "has rank 4 and alpha 16, and the recipe rank 4 and alpha 32"),
        ({}, recipe(rank=2), "and the recipe rank 2"),
        ({"use_dora": True}, recipe(), "not a plain LoRA adapter (use_dora true)"),
        ({}, {**recipe(), "tuner": {"name": "trainer", "method": "full"}}, "all weights are tuned"),
    ],
)
def test_a_start_that_tuning_cannot_go_on_from_is_named(
    fields: dict[str, Any], tuning: dict[str, Any], said: str, adapter: Path, model: Path, tmp_path: Path
) -> None:
    change(adapter, **fields)
    entry = {"template": "CV", "start": "adapter"}
    assert said in refusal(tmp_path, model, entry, tuning=tuning)


def test_a_sound_start_is_planned(adapter: Path, model: Path, tmp_path: Path) -> None:
    entry = {"template": "CV", "start": "adapter"}
    assert plan_study(Study.load(small_study(tmp_path, model, train=[entry], tuning=recipe())), dry=True).tune


def test_a_condition_that_starts_from_another_has_its_rank_and_targets(model: Path, tmp_path: Path) -> None:
    train = ["CV", {"template": "CL", "name": "again", "start": "CV", "recipe": {"rank": 2}}]
    study = Study.load(small_study(tmp_path, model, train=train, tuning=recipe()))
    with pytest.raises(InputError, match=r"train\[1\].*starts from condition '.*', whose recipe has rank 4"):
        plan_study(study, dry=True)
