"""Adapters on disk: digests, manifests, and whether they fit a base."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from puretune.errors import CheckFailed, InputError
from puretune.models import (
    Manifest,
    ModelSpec,
    adapter_ref,
    check_adapter,
    new_lora,
    read_manifest,
    save_lora,
    write_manifest,
)
from tests.tiny import tiny_llama


@pytest.fixture
def adapter(llama: Any, tmp_path: Path) -> Path:
    directory = tmp_path / "adapter"
    directory.mkdir()
    lora = new_lora(llama.model, 4, 8, ["q_proj", "v_proj"], torch.Generator().manual_seed(0))
    save_lora(directory, lora, llama.model, "some/base", None)
    return directory


def manifest(base: str, name: str = "some/base") -> Manifest:
    return Manifest(
        condition="CV",
        inputs="abc",
        tuner="loop 1",
        base={"model": name, "revision": None, "fingerprint": base, "licence": None},
        templates={"f": {"name": "chat:vanilla", "user": "Größe %s"}},
        renderer="r",
        data_digest="d",
        rows=1,
        recipe={"rank": 4},
        seed=0,
        start=None,
        step=1,
        steps=1,
        loss=0.5,
        tokens={"seen": 1, "trained": 1, "distinct": 1},
        sample="Question⟦answer⟧",
        versions={},
        device="cpu",
        dtype="float32",
    )


def test_the_digest_follows_the_content_and_not_the_place(adapter: Path, tmp_path: Path) -> None:
    first = adapter_ref(adapter)
    moved = adapter_ref(adapter.rename(tmp_path / "elsewhere"))
    assert first.kind == "adapter"
    assert moved.digest == first.digest
    (moved.path / "adapter_config.json").write_text("{}")
    assert adapter_ref(moved.path).digest != first.digest


def test_what_is_written_is_read_back(adapter: Path) -> None:
    write_manifest(adapter, manifest("x"))
    found = read_manifest(adapter)
    assert found is not None
    assert replace(found, files={}) == manifest("x")
    assert set(found.files) == {"adapter_config.json", "adapter_model.safetensors"}
    assert "Größe" in (adapter / "puretune.json").read_text(encoding="utf-8")


def test_a_file_that_changed_fails_the_check(adapter: Path) -> None:
    write_manifest(adapter, manifest("x"))
    with (adapter / "adapter_model.safetensors").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(CheckFailed, match=r"adapter_model\.safetensors is not the file"):
        read_manifest(adapter)


@pytest.mark.parametrize("content", ["{", "[]", '{"condition": "CV"}'])
def test_an_unreadable_manifest_fails_the_check(content: str, adapter: Path) -> None:
    (adapter / "puretune.json").write_text(content)
    with pytest.raises(CheckFailed, match="not a readable manifest"):
        read_manifest(adapter)


def test_an_adapter_of_this_base_is_accepted(adapter: Path, llama: Any) -> None:
    write_manifest(adapter, manifest(llama.fingerprint))
    assert check_adapter(adapter_ref(adapter), llama.spec) == ""


def test_an_adapter_of_another_base_is_refused_by_name(adapter: Path, llama: Any) -> None:
    write_manifest(adapter, manifest("0" * 64, "the/other"))
    with pytest.raises(InputError, match="made for the base model 'the/other'"):
        check_adapter(adapter_ref(adapter), llama.spec)


def test_without_a_manifest_fitting_shapes_are_accepted_with_a_note(adapter: Path, llama: Any) -> None:
    assert read_manifest(adapter) is None
    assert "names the base 'some/base'; only the shapes" in check_adapter(adapter_ref(adapter), llama.spec)


def test_without_a_manifest_other_shapes_are_refused(adapter: Path, tmp_path: Path) -> None:
    wider = tiny_llama(tmp_path / "wider", hidden_size=64)
    with pytest.raises(InputError, match="another base model \\(some/base\\)"):
        check_adapter(adapter_ref(adapter), ModelSpec(str(wider)))


def test_a_full_checkpoint_is_recognised(llama_path: Path) -> None:
    assert adapter_ref(llama_path).kind == "checkpoint"


def test_what_is_no_adapter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such adapter directory"):
        adapter_ref(tmp_path / "nothing")
    with pytest.raises(InputError, match="neither an adapter"):
        adapter_ref(tmp_path)


def test_a_pickled_adapter_is_refused(adapter: Path) -> None:
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(InputError, match="pickled weights only"):
        adapter_ref(adapter)


def test_an_adapter_that_was_cut_off_is_refused(adapter: Path) -> None:
    weights = adapter / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(InputError, match="not a complete safetensors file"):
        adapter_ref(adapter)


def test_the_configuration_is_json_that_names_the_base(adapter: Path) -> None:
    config = json.loads((adapter / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["r"], config["lora_alpha"]) == ("some/base", 4, 8)
