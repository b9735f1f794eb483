"""A base model in memory."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from puretune.errors import EnvironmentFault, InputError
from puretune.models import ModelSpec, load_base, load_tokenizer, renderer_for
from puretune.templates import Message, resolve_template
from tests.tiny import CONTEXT, FAMILIES, tiny_base, tiny_llama


def test_a_base_is_frozen_and_ready(llama: Any) -> None:
    import torch

    assert not llama.model.training
    assert not any(p.requires_grad for p in llama.model.parameters())
    assert llama.context_length == CONTEXT
    assert (llama.dtype_name, llama.device.type) == ("float32", "cpu")
    assert torch.get_num_threads() == 1


def test_the_dtype_of_the_spec_is_used(llama_path: Path) -> None:
    assert tiny_base(llama_path, dtype="bfloat16").dtype_name == "bfloat16"


def test_loading_says_nothing_on_stdout(llama_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tiny_base(llama_path)
    assert capfd.readouterr().out == ""


def test_a_device_that_is_not_there_is_a_fault_of_the_environment(llama_path: Path) -> None:
    with pytest.raises(EnvironmentFault, match="cuda:99"):
        load_base(ModelSpec(str(llama_path), device="cuda:99"))


def test_every_stated_eos_ends_an_answer(llama_path: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(llama_path, tmp_path / "copy")
    (copy / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 5]}))
    assert renderer_for(ModelSpec(str(copy))).stop_ids >= {2, 5}


def test_a_model_without_a_chat_template_renders_text_and_explicit_markup(tmp_path: Path) -> None:
    path = str(tiny_llama(tmp_path / "plain", chat_template=False))
    chat, text = resolve_template("chat:vanilla"), resolve_template("text:vanilla")
    asked = [Message("user", "How many?")]
    assert renderer_for(ModelSpec(path)).prompt(text, asked).ids
    assert "[INST]" in renderer_for(ModelSpec(path, markup="llama-2")).prompt(chat, asked).text
    with pytest.raises(InputError, match="no chat template"):
        renderer_for(ModelSpec(path)).prompt(chat, asked)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_direct_way_to_a_tokenizer_gives_what_transformers_gives(family: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    path = FAMILIES[family](tmp_path / family)
    text = "Natalia sold 48/2 = 24 clips </s> in May.\n#### 72"
    expected = AutoTokenizer.from_pretrained(str(path))(text)["input_ids"]
    assert load_tokenizer(ModelSpec(str(path)))(text)["input_ids"] == expected


def test_a_tokenizer_alone_renders(llama_path: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(llama_path, tmp_path / "copy")
    asked = [Message("user", "How many?")]
    whole = renderer_for(ModelSpec(str(copy))).prompt(resolve_template("CV"), asked)
    for name in ("config.json", "generation_config.json", "model.safetensors"):
        (copy / name).unlink()
    assert renderer_for(ModelSpec(str(copy))).prompt(resolve_template("CV"), asked) == whole


def test_a_broken_tokenizer_is_an_input_error(llama_path: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(llama_path, tmp_path / "copy")
    (copy / "tokenizer_config.json").write_text("{")
    with pytest.raises(InputError, match=r"tokenizer_config\.json: not valid JSON"):
        load_tokenizer(ModelSpec(str(copy)))


def test_an_architecture_that_transformers_does_not_know_is_an_input_error(
    llama_path: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(llama_path, tmp_path / "copy")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "model_type": "nonesuch"}))
    with pytest.raises(InputError, match="does not know the `model_type`"):
        load_base(ModelSpec(str(copy)))
