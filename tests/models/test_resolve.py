"""From a name to a directory, and what is said when there is none."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from puretune.errors import EnvironmentFault, InputError
from puretune.models import ModelSpec, context_length, resolve_model_path


@pytest.fixture
def copy(llama_path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(llama_path, tmp_path / "copy"))


def test_a_directory_is_its_own_path(llama_path: Path) -> None:
    assert resolve_model_path(ModelSpec(str(llama_path))) == llama_path


def test_a_package_offers_models_by_name(tmp_path: Path, llama_path: Path) -> None:
    info = tmp_path / "giver-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: giver\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[puretune.models]\ngift = giver:path\n")
    (tmp_path / "giver.py").write_text(
        f"from pathlib import Path\ndef path(): return Path({str(llama_path)!r})\n"
    )
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from puretune.models import ModelSpec, resolve_model_path\n"
        "print(resolve_model_path(ModelSpec('gift')))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == str(llama_path)


def test_an_unknown_name_gets_the_nearest_one() -> None:
    with pytest.raises(InputError, match=r"unknown model 'labb'\. Did you mean 'lab'"):
        resolve_model_path(ModelSpec("labb"))


@pytest.mark.parametrize("name", ["./models/x", "/no/such/place", "~/nowhere-at-all", "a/b/c"])
def test_a_name_that_looks_like_a_path_is_called_one(name: str) -> None:
    with pytest.raises(InputError, match="no such directory"):
        resolve_model_path(ModelSpec(name))


def test_a_hub_id_without_a_network_is_one_clear_fault() -> None:
    with pytest.raises(EnvironmentFault, match="not on this machine and cannot be downloaded"):
        resolve_model_path(ModelSpec("nobody/no-such-model"))


def test_a_directory_without_a_configuration_is_not_a_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no config\.json"):
        resolve_model_path(ModelSpec(str(tmp_path)))


def test_an_adapter_is_not_taken_for_a_model(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(InputError, match="is an adapter, not a model"):
        resolve_model_path(ModelSpec(str(tmp_path)))


def test_a_directory_without_a_tokenizer_is_an_error(copy: Path) -> None:
    (copy / "tokenizer.json").unlink()
    with pytest.raises(InputError, match="no tokenizer"):
        resolve_model_path(ModelSpec(str(copy)))


def test_a_directory_without_weights_is_an_error_only_where_weights_are_needed(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    with pytest.raises(InputError, match="no weights"):
        resolve_model_path(ModelSpec(str(copy)))
    assert resolve_model_path(ModelSpec(str(copy)), weights=False) == copy


def test_pickled_weights_are_refused(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"pickled \(pytorch_model\.bin\)"):
        resolve_model_path(ModelSpec(str(copy)))


@pytest.mark.parametrize("kept", [0, 5, 200, -1])
def test_weights_that_were_cut_off_are_named(copy: Path, kept: int) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:kept])
    with pytest.raises(
        InputError, match=r"model\.safetensors is not a complete safetensors file.*interrupted"
    ):
        resolve_model_path(ModelSpec(str(copy)))


def test_a_tokenizer_alone_will_do_where_nothing_else_is_needed(copy: Path) -> None:
    (copy / "config.json").unlink()
    (copy / "model.safetensors").unlink()
    assert resolve_model_path(ModelSpec(str(copy)), weights=False, config=False) == copy
    with pytest.raises(InputError, match=r"no config\.json"):
        resolve_model_path(ModelSpec(str(copy)), weights=False)


def test_a_missing_shard_is_named(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "model-00001.safetensors")
    index = {"weight_map": {"a": "model-00001.safetensors", "b": "model-00002.safetensors"}}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match=r"1 of 2 weight files are missing, first model-00002\.safetensors"):
        resolve_model_path(ModelSpec(str(copy)))


@pytest.mark.parametrize(
    ("config", "length"),
    [
        ({"max_position_embeddings": 77}, 77),
        ({"n_positions": 55}, 55),
        ({"text_config": {"max_position_embeddings": 33}}, 33),
        ({}, 1 << 30),
    ],
)
def test_the_context_length_is_what_the_configuration_states(
    config: dict[str, object], length: int, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert context_length(tmp_path) == length
