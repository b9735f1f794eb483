"""Fingerprints follow the content; device and number format are decided without torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from puretune.errors import InputError
from puretune.models import (
    ModelSpec,
    _digests,
    _hardware,
    cache_directory,
    fingerprint,
    resolved_device,
    resolved_dtype,
)
from tests.tiny import tiny_llama


def test_the_same_content_elsewhere_has_the_same_fingerprint(llama_path: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(llama_path, tmp_path / "copy")
    (copy / "README.md").write_text("words that change no token")
    assert fingerprint(ModelSpec(str(copy))) == fingerprint(ModelSpec(str(llama_path)))


def test_other_weights_have_another_fingerprint(llama_path: Path, tmp_path: Path) -> None:
    other = tiny_llama(tmp_path / "other", seed=1)
    assert fingerprint(ModelSpec(str(other))) != fingerprint(ModelSpec(str(llama_path)))


@pytest.mark.parametrize(
    "name", ["config.json", "generation_config.json", "tokenizer_config.json", "chat_template.jinja"]
)
def test_a_change_of_a_file_that_matters_changes_the_fingerprint(
    name: str, llama_path: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(llama_path, tmp_path / "copy")
    before = fingerprint(ModelSpec(str(copy)))
    with (copy / name).open("a") as file:
        file.write("\n")
    assert fingerprint(ModelSpec(str(copy))) != before


@pytest.fixture
def remembering(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The memory of digests, empty; every file is a large one."""
    monkeypatch.setenv("PURETUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(_digests, "_LARGE", 0)
    return cache_directory() / "file-digests.json"


def test_digests_of_large_files_are_remembered(llama_path: Path, remembering: Path) -> None:
    first = fingerprint(ModelSpec(str(llama_path)))
    entries = json.loads(remembering.read_text())
    weights = next(entry for entry in entries if "model.safetensors" in entry)
    remembering.write_text(json.dumps({**entries, weights: "0" * 64}))
    assert fingerprint(ModelSpec(str(llama_path))) != first  # the memory was asked, not the file


def test_digests_of_files_that_have_gone_are_forgotten(llama_path: Path, remembering: Path) -> None:
    remembering.parent.mkdir()
    remembering.write_text(json.dumps({"/gone/model.safetensors|1|1": "0" * 64}))
    fingerprint(ModelSpec(str(llama_path)))
    assert "/gone" not in remembering.read_text()


def test_small_files_are_read_again(
    llama_path: Path, remembering: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_digests, "_LARGE", 1 << 24)
    fingerprint(ModelSpec(str(llama_path)))
    assert not remembering.exists()


@pytest.mark.parametrize("content", ["not JSON", "[]"])
def test_a_broken_memory_is_ignored(content: str, llama_path: Path, remembering: Path) -> None:
    before = fingerprint(ModelSpec(str(llama_path)))
    remembering.write_text(content)
    assert fingerprint(ModelSpec(str(llama_path))) == before


def test_a_cache_that_cannot_be_written_only_costs_time(
    llama_path: Path, remembering: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    before = fingerprint(ModelSpec(str(llama_path)))
    monkeypatch.setenv("PURETUNE_CACHE", str(tmp_path / "file"))
    assert fingerprint(ModelSpec(str(llama_path))) == before


def test_planning_needs_no_torch(llama_path: Path) -> None:
    code = (
        "import sys\n"
        "from puretune.models import ModelSpec, context_length, fingerprint, renderer_for\n"
        "from puretune.models import resolve_model_path, resolved_device, resolved_dtype\n"
        "spec = ModelSpec(sys.argv[1])\n"
        "fingerprint(spec), resolved_device(spec), resolved_dtype(spec)\n"
        "context_length(resolve_model_path(spec))\n"
        "assert 'transformers' not in sys.modules\n"
        "renderer_for(spec).fingerprint\n"
        "assert 'torch' not in sys.modules"
    )
    run = subprocess.run([sys.executable, "-c", code, str(llama_path)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_auto_dtype_follows_the_device(llama_path: Path) -> None:
    assert resolved_dtype(ModelSpec(str(llama_path), device="cpu")) == "float32"
    assert resolved_dtype(ModelSpec("m", device="cuda:1")) == "bfloat16"
    assert resolved_dtype(ModelSpec("m", device="cuda", dtype="float16")) == "float16"


@pytest.mark.parametrize("key", ["dtype", "torch_dtype"])
@pytest.mark.parametrize("multiplies", [True, False])
def test_auto_dtype_on_a_cpu_is_half_where_weights_are_stored_so(
    key: str, multiplies: bool, llama_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_hardware, "has_bf16", lambda: multiplies)
    model = shutil.copytree(llama_path, tmp_path / "half")
    config = json.loads((model / "config.json").read_text())
    config.pop("dtype", None)
    (model / "config.json").write_text(json.dumps({**config, key: "float16"}))
    spec = ModelSpec(str(model), device="cpu")
    assert resolved_dtype(spec) == ("bfloat16" if multiplies else "float32")
    assert resolved_dtype(ModelSpec(str(model), device="cpu", dtype="float32")) == "float32"


def test_a_broken_configuration_is_named_when_the_dtype_is_asked_for(
    llama_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_hardware, "has_bf16", lambda: True)
    model = shutil.copytree(llama_path, tmp_path / "broken")
    (model / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config\.json: not valid JSON"):
        resolved_dtype(ModelSpec(str(model), device="cpu"))


def test_auto_device_is_one_that_torch_has() -> None:
    import torch

    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert resolved_device(ModelSpec("m")) == expected


def test_an_unknown_device_is_an_input_error() -> None:
    with pytest.raises(InputError, match="device 'gpu'"):
        resolved_device(ModelSpec("m", device="gpu"))
