"""Weights on disk and in memory: each file whole, each tensor used, none made up, all finite."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from puretune.errors import InputError
from puretune.models import ModelSpec, adapter_ref, applied, load_base, renderer_for, resolve_model_path
from tests.tiny import FAMILIES, tiny_base

Weights = dict[str, torch.Tensor]


def rewritten(model: Path, directory: Path, change: Callable[[Weights], Weights]) -> Path:
    """A copy of a model with other weights."""
    copy = Path(shutil.copytree(model, directory))
    weights = change(load_file(copy / "model.safetensors"))
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    return copy


def renamed(old: str, new: str) -> Callable[[Weights], Weights]:
    return lambda weights: {name.replace(old, new): tensor for name, tensor in weights.items()}


def without(part: str) -> Callable[[Weights], Weights]:
    return lambda weights: {name: tensor for name, tensor in weights.items() if part not in name}


def spoiled(part: str, value: float) -> Callable[[Weights], Weights]:
    def change(weights: Weights) -> Weights:
        name = next(name for name in weights if part in name)
        weights[name].view(-1)[3] = value
        return weights

    return change


def narrowed(weights: Weights) -> Weights:
    name = next(name for name in weights if "q_proj" in name)
    return {**weights, name: weights[name][:-1].contiguous()}


WRONG = {
    "a layer under another name": (renamed("layers.1.", "layers.9."), r"weights.*are missing.*layers\.1\."),
    "all under other names": (renamed("model.", "xmodel."), "weights.*are missing"),
    "no head": (without("lm_head"), r"1 weights.*are missing.*lm_head\.weight"),
    "a tensor too many": (lambda w: {**w, "extra.weight": torch.ones(2)}, r"not weights.*extra\.weight"),
    "a tensor too short": (narrowed, r"q_proj\.weight is \[31, 32\] in the files and \[32, 32\]"),
    "a NaN": (spoiled("up_proj", float("nan")), r"not finite.*up_proj"),
    "an infinity": (spoiled("norm", float("-inf")), r"not finite.*norm"),
}


@pytest.mark.parametrize("how", WRONG)
def test_wrong_weights_are_named(llama_path: Path, tmp_path: Path, how: str) -> None:
    change, said = WRONG[how]
    with pytest.raises(InputError, match=said):
        tiny_base(rewritten(llama_path, tmp_path / "copy", change))


def test_wrong_weights_of_a_checkpoint_are_named(llama_path: Path, tmp_path: Path) -> None:
    copy = rewritten(llama_path, tmp_path / "copy", renamed("layers.1.", "layers.9."))
    with (
        pytest.raises(InputError, match=r"weights.*are missing.*layers\.1\."),
        applied(tiny_base(llama_path), adapter_ref(copy)),
    ):
        pass


@pytest.mark.parametrize("family", FAMILIES)
def test_whole_models_of_every_family_load(family: str, tmp_path: Path) -> None:
    assert tiny_base(FAMILIES[family](tmp_path / family)).context_length


@pytest.mark.parametrize(
    "entry", [{"dtype": "F32", "shape": [1]}, 3, {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}]
)
def test_a_damaged_header_names_file_and_tensor(llama_path: Path, tmp_path: Path, entry: Any) -> None:
    copy = Path(shutil.copytree(llama_path, tmp_path / "copy"))
    header = json.dumps({"some.weight": entry}).encode()
    (copy / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(InputError, match=r"model\.safetensors: .*'some\.weight' is damaged"):
        resolve_model_path(ModelSpec(str(copy)))


@pytest.mark.parametrize("place", ["../other.safetensors", 3, None, "model.bin"])
def test_an_index_names_files_of_its_directory(llama_path: Path, tmp_path: Path, place: Any) -> None:
    copy = Path(shutil.copytree(llama_path, tmp_path / "copy"))
    (copy / "model.safetensors").rename(copy / "model-1.safetensors")
    (copy / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": place}}))
    with pytest.raises(InputError, match="`weight_map` must name safetensors files of this directory"):
        resolve_model_path(ModelSpec(str(copy)))


def test_an_adapter_beside_the_weights_is_refused(llama_path: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(llama_path, tmp_path / "copy"))
    (copy / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    with pytest.raises(InputError, match="holds a model and an adapter"):
        load_base(ModelSpec(str(copy)))


def test_a_token_without_a_row_is_named_with_both_sizes(llama_path: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(llama_path, tmp_path / "copy"))
    tokenizer = renderer_for(ModelSpec(str(copy))).tokenizer
    rows = len(tokenizer)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
    tokenizer.save_pretrained(copy)
    with pytest.raises(InputError, match=rf"{rows + 1:,} tokens.*only {rows:,} rows.*im_start.*id {rows:,}"):
        renderer_for(ModelSpec(str(copy)))


@pytest.mark.parametrize(
    ("method", "package"), [("gptq", "gptqmodel optimum"), ("AWQ", "gptqmodel"), ("aqlm", "aqlm")]
)
def test_quantised_weights_say_what_to_install(
    llama_path: Path, tmp_path: Path, method: str, package: str
) -> None:
    copy = Path(shutil.copytree(llama_path, tmp_path / "copy"))
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "quantization_config": {"quant_method": method}}))
    assert renderer_for(ModelSpec(str(copy)))  # tokens can be looked at all the same
    with pytest.raises(InputError, match=f"pip install {package}"):
        load_base(ModelSpec(str(copy)))
