"""Models in GGUF files: one file with configuration, tokenizer, chat template and (quantised) weights.

A file is unpacked once, by transformers, into a directory like any other model's, which is kept in puretune's
cache under the file's digest. Everything else reads that directory, so weights that were stored in a few bits
are computed with as the numbers they stand for.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from puretune import memory
from puretune.errors import EnvironmentFault, InputError
from puretune.models._digests import cache_directory, digest_once
from puretune.models._json_files import CONFIG
from puretune.models._library_errors import SMALLER, quiet, reading, reason
from puretune.models._packaged import SMOLLM2_INSTALL
from puretune.models._types import ModelSpec
from puretune.store import faults, make_directory, publish_directory, sweep, temporary_name
from puretune.visible import visible

SUFFIX = ".gguf"
_MAGIC = b"GGUF"
_STORED = "bfloat16"
"""The number format of the unpacked weights where the study names none."""
_VERSION = 1
"""Changes whenever the same file could be unpacked into another directory."""


def gguf_file(path: Path) -> Path | None:
    """The GGUF file that a model's path names: the file itself, or the only one in a directory without a
    config.json; None where it names none. InputError for a missing file, and for a choice of several."""
    if path.suffix.lower() == SUFFIX and not path.is_dir():
        return _present(path)
    if not path.is_dir() or (path / CONFIG).exists():
        return None
    files = sorted(one for one in path.iterdir() if one.suffix.lower() == SUFFIX and one.is_file())
    if len(files) > 1:
        raise InputError(
            f"{visible(path)} has {len(files)} GGUF files ({visible(files[0].name)}, "
            f"{visible(files[1].name)}, ...). Name one: `model: {{path: {visible(files[0])}}}`."
        )
    return files[0] if files else None


def unpacked(file: Path, spec: ModelSpec) -> Path:
    """The directory with the model of a GGUF file, unpacked where that has not been done before.

    InputError if the file is not one that transformers can read; EnvironmentFault if the package gguf is
    missing, or memory or disk do not suffice.
    """
    dtype = _STORED if spec.dtype == "auto" else spec.dtype
    digest = digest_once(file.resolve())
    about = f"{digest[:16]}-{dtype}-{_VERSION}-transformers-{metadata.version('transformers')}"
    directory = cache_directory() / "gguf" / about
    if not (directory / CONFIG).exists():
        _require_package(file)
        _unpack(file, dtype, digest, directory)
    return directory


def _present(file: Path) -> Path:
    if not file.is_file():
        raise InputError(
            f"{visible(file)}: no such GGUF file. Check the path in the study's `model`. `model: smollm2` is "
            f"a small one ({SMOLLM2_INSTALL})."
        )
    with file.open("rb") as opened:
        start = opened.read(len(_MAGIC))
    if start != _MAGIC:
        raise InputError(f"{visible(file)}: not a GGUF file, whatever its name. Copy or download it again.")
    return file


def _require_package(file: Path) -> None:
    if find_spec("gguf") is None:
        raise EnvironmentFault(
            f"{visible(file)}: GGUF files need the package gguf, which is not installed. Install it: "
            "pip install 'puretune[gguf]'."
        )


def _unpack(file: Path, dtype: str, digest: str, directory: Path) -> None:
    """Publishes the unpacked directory, complete or not at all."""
    make_directory(directory.parent)
    sweep(directory.parent)
    partial = temporary_name(directory)
    try:
        with memory.enough(f"unpack {visible(file)}", SMALLER), _messages(file), _silence():
            model, tokenizer = _read(file, dtype)
            with faults(directory):
                _write(partial, model, tokenizer, digest)
        publish_directory(partial, directory, replace=False)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _read(file: Path, dtype: str) -> tuple[Any, Any]:
    """transformers' model, its weights unpacked, and tokenizer."""
    import torch
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # newer versions keep the blocks packed unless this says otherwise; older ones never do
    packed = getattr(transformers, "GgufConfig", None)
    options = {"quantization_config": packed(dequantize=True)} if packed else {}
    place: dict[str, Any] = {"gguf_file": file.name, "local_files_only": True}
    tokenizer = AutoTokenizer.from_pretrained(str(file.parent), **place)
    model = AutoModelForCausalLM.from_pretrained(
        str(file.parent), dtype=getattr(torch, dtype), **options, **place
    )
    return model, tokenizer


def _write(directory: Path, model: Any, tokenizer: Any, digest: str) -> None:
    """The files of a model directory; config.json names the GGUF file's digest, so every key has it."""
    model.hf_quantizer = None  # transformers refuses to save what was loaded through one
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(str(directory))
    tokenizer.save_pretrained(str(directory))
    config = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
    config.pop("_model_name_or_path", None)
    (directory / CONFIG).write_text(json.dumps({**config, "gguf_sha256": digest}, indent=2) + "\n")
    for path in directory.iterdir():
        path.chmod(0o644)


@contextmanager
def _messages(file: Path) -> Iterator[None]:
    """What transformers cannot read, in one message."""
    try:
        with reading(file, "GGUF file"):
            yield
    except InputError as error:
        said = reason(error.__cause__ or error)
        where = f"{visible(file)}: transformers {metadata.version('transformers')} cannot read this GGUF file"
        instead = "the same model's directory in Hugging Face format"
        if "architecture" in said:
            raise InputError(f"{where}: {said}. Use {instead}.") from error
        raise InputError(
            f"{where}: {said}. Copy or download it again; if it is whole, use one in another quantisation "
            f"(Q8_0, Q4_K_M and Q4_1 can be read), or {instead}."
        ) from error


@contextmanager
def _silence() -> Iterator[None]:
    """transformers' advice and progress bars stay away; one bar of its GGUF reader knows no switch."""
    with quiet(), redirect_stderr(io.StringIO()):
        yield
