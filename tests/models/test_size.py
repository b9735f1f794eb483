"""How large a model is, from its configuration: against the models themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from puretune.errors import InputError
from puretune.models import ModelSpec, parameters_per_token
from tests.tiny import tiny_gpt2, tiny_llama


def shape(directory: Path, config: Any) -> ModelSpec:
    """A model directory with a configuration and no weights."""
    config.save_pretrained(directory)
    (directory / "tokenizer.json").write_text("{}")
    return ModelSpec(str(directory))


def loaded(path: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(path)


def test_the_embedding_table_does_not_count_and_no_weights_are_needed(tmp_path: Path) -> None:
    path = tiny_llama(tmp_path / "llama")
    model = loaded(path)
    (path / "model.safetensors").unlink()
    table = model.get_input_embeddings().weight.numel()
    assert parameters_per_token(ModelSpec(str(path))) == model.num_parameters() - table


def test_a_table_that_is_the_head_too_counts(tmp_path: Path) -> None:
    path = tiny_gpt2(tmp_path / "gpt2")
    assert parameters_per_token(ModelSpec(str(path))) == loaded(path).num_parameters()


def test_of_experts_those_count_that_a_token_goes_through(tmp_path: Path) -> None:
    from transformers import MixtralConfig

    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "vocab_size": 64}
    more = {"num_attention_heads": 4, "num_key_value_heads": 4, "num_local_experts": 8}
    one, two = (
        parameters_per_token(
            shape(tmp_path / str(chosen), MixtralConfig(**sizes, **more, num_experts_per_tok=chosen))
        )
        for chosen in (1, 2)
    )
    assert two - one == 2 * 3 * 32 * 64  # layers, matrices of an expert


def test_llama_2_7b_has_6_6_billion(tmp_path: Path) -> None:
    from transformers import LlamaConfig

    assert parameters_per_token(shape(tmp_path / "llama-2", LlamaConfig())) == 6_607_343_616


def test_an_unknown_architecture_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "no-such-thing"}')
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match="does not know the `model_type` 'no-such-thing'"):
        parameters_per_token(ModelSpec(str(tmp_path)))
