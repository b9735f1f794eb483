"""Targets of a recipe are compared with a model's files, before the model is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from puretune.errors import InputError
from puretune.models import ModelSpec, check_targets
from tests.tiny import tiny_gpt2, tiny_qwen2


@pytest.mark.parametrize(
    "targets",
    [("q_proj", "v_proj"), ("all-linear",), ("layers.1.mlp.up_proj",), ("model.layers.0.self_attn.q_proj",)],
)
def test_layers_of_the_model_are_accepted(targets: tuple[str, ...], llama_path: Path) -> None:
    check_targets(ModelSpec(str(llama_path)), targets)


@pytest.mark.parametrize(
    "wrong", ["q_pro", "embed_tokens", "norm", "proj", "layers.2.mlp.up_proj", "c_attn", ""]
)
def test_what_is_no_linear_layer_is_named(wrong: str, llama_path: Path) -> None:
    with pytest.raises(InputError, match=r"recipe\.targets: unknown target layer"):
        check_targets(ModelSpec(str(llama_path)), ("v_proj", wrong))


def test_a_tied_head_and_other_families_names_are_known(tmp_path: Path) -> None:
    check_targets(ModelSpec(str(tiny_qwen2(tmp_path / "qwen2"))), ("lm_head",))
    check_targets(ModelSpec(str(tiny_gpt2(tmp_path / "gpt2"))), ("c_attn", "mlp.c_fc"))


def test_a_family_whose_names_may_differ_is_left_to_the_loaded_model(tmp_path: Path) -> None:
    path = tiny_gpt2(tmp_path / "gpt2")
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, "model_type": "mixtral"}))
    check_targets(ModelSpec(str(path)), ("w1",))
