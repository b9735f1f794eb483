"""A checkpoint or adapter that brings a tokenizer: the same is fine, another one is an error or a note."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from puretune.errors import InputError
from puretune.models import (
    ModelSpec,
    adapter_ref,
    check_own_tokenizer,
    check_rows,
    load_tokenizer,
    new_lora,
    save_lora,
)
from tests.tiny import tiny_base, tiny_llama


@pytest.fixture
def checkpoint(llama_path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(llama_path, tmp_path / "checkpoint"))


def checked(base: Path, directory: Path, accepted: bool = False, markup: str = "auto") -> str:
    return check_own_tokenizer(adapter_ref(directory), ModelSpec(str(base), markup=markup), accepted)


def edited(file: Path, change: Callable[[str], str]) -> None:
    file.write_text(change(file.read_text()))


def template_changed(directory: Path) -> None:
    for file in (directory / "chat_template.jinja", directory / "tokenizer_config.json"):
        if file.exists():
            edited(file, lambda text: text.replace("[/INST]", "[/ASK]"))


def ids_swapped(directory: Path) -> None:
    def swapped(text: str) -> str:
        content = json.loads(text)
        vocabulary = content["model"]["vocab"]
        one, other = list(vocabulary)[300:302]
        vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]
        return json.dumps(content)

    edited(directory / "tokenizer.json", swapped)


def test_the_same_tokenizer_says_nothing(llama_path: Path, checkpoint: Path) -> None:
    assert checked(llama_path, checkpoint) == ""


def test_the_same_tokenizer_in_other_bytes_says_nothing(llama_path: Path, checkpoint: Path) -> None:
    edited(checkpoint / "tokenizer.json", lambda text: json.dumps(json.loads(text), indent=3))
    edited(
        checkpoint / "tokenizer_config.json", lambda t: json.dumps({**json.loads(t), "padding_side": "left"})
    )
    assert checked(llama_path, checkpoint) == ""


def test_a_token_for_padding_alone_says_nothing(llama_path: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    base = tiny_base(llama_path)
    import torch

    lora = new_lora(base.model, 2, 4, ["q_proj"], torch.Generator().manual_seed(0))
    save_lora(adapter, lora, base.model, str(llama_path), None)
    tokenizer = load_tokenizer(ModelSpec(str(llama_path)))
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(adapter)
    assert checked(llama_path, adapter) == ""
    tokenizer.add_tokens(["<|other|>"])
    tokenizer.save_pretrained(adapter)
    with pytest.raises(InputError, match=r"tokenizer differs.*adds <\|other\|>"):
        checked(llama_path, adapter)


def test_other_ids_are_an_error_that_names_tokens(llama_path: Path, checkpoint: Path) -> None:
    ids_swapped(checkpoint)
    with pytest.raises(InputError, match=r"tokenizer differs.*other ids for.*its own study"):
        checked(llama_path, checkpoint)
    assert "it was asked with the base's" in checked(llama_path, checkpoint, accepted=True)


def test_another_chat_template_matters_where_it_renders(llama_path: Path, checkpoint: Path) -> None:
    template_changed(checkpoint)
    with pytest.raises(InputError, match="chat template differs"):
        checked(llama_path, checkpoint)
    assert "chat template differs" in checked(llama_path, checkpoint, accepted=True)
    assert checked(llama_path, checkpoint, markup="llama-2") == ""


def test_another_stop_token_is_an_error(llama_path: Path, checkpoint: Path) -> None:
    edited(
        checkpoint / "generation_config.json",
        lambda text: json.dumps({**json.loads(text), "eos_token_id": [2, 7]}),
    )
    with pytest.raises(InputError, match="answers end with"):
        checked(llama_path, checkpoint)


def test_a_checkpoint_with_too_few_rows_is_an_error(llama_path: Path, tmp_path: Path) -> None:
    rows = json.loads((llama_path / "config.json").read_text())["vocab_size"]
    smaller = tiny_llama(tmp_path / "smaller", vocab_size=rows - 2)
    with pytest.raises(InputError, match=rf"has {rows - 2:,} rows.*{rows:,} tokens"):
        check_rows(adapter_ref(smaller), ModelSpec(str(llama_path)))
