"""The weights of a model on disk: which files, whether they are whole, and which tensors they hold.

The safetensors format: eight bytes with the header's length, the header (JSON: name -> dtype, shape, place),
the tensors' bytes. Only headers are read here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeGuard

from puretune.errors import InputError
from puretune.files import kind_of, parse_json, regular
from puretune.models._json_files import optional_mapping
from puretune.visible import one_line, quoted, visible

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_LONGEST_HEADER = 100_000_000
"""Bytes; the format's own limit."""
_EMBEDDINGS = ("embed_tokens.weight", "wte.weight", "embed_in.weight", "word_embeddings.weight")
_COPY = "Copy or download it again."


class WeightsAbsent(InputError):
    """The directory has no weights at all (as opposed to some that are damaged)."""


@dataclass(frozen=True)
class TensorInfo:
    """One tensor of a file, without its numbers."""

    shape: tuple[int, ...]
    dtype: str
    """In the format's words: ``F32``, ``BF16``, ..."""

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


def weight_files(directory: Path) -> list[Path]:
    """The model's safetensors files by name, as transformers chooses them; InputError for one that is
    missing or cut off, WeightsAbsent for none."""
    if (directory / WEIGHTS).exists():
        return [require_whole(directory / WEIGHTS)]
    if (directory / INDEX).exists():
        return [require_whole(directory / name) for name in _indexed(directory)]
    raise WeightsAbsent(_without_weights(directory))


def require_whole(path: Path) -> Path:
    """The safetensors file, where it is as long as its header says; InputError if it was cut off or its
    header is damaged."""
    tensors(path)
    return path


def tensors(path: Path) -> Mapping[str, TensorInfo]:
    """The tensors of a safetensors file by name; InputError as :func:`require_whole`."""
    try:
        state = path.stat()
        return _tensors(path, state.st_size, state.st_mtime_ns)
    except OSError as error:
        raise InputError(f"{visible(path)}: cannot be read: {error.strerror or error}. {_COPY}") from None


def tensors_of(files: Iterable[Path]) -> dict[str, TensorInfo]:
    """The tensors of several files."""
    return {name: info for path in files for name, info in tensors(path).items()}


def embedding_rows(known: Mapping[str, TensorInfo]) -> int | None:
    """Rows of the input embedding, where it has a usual name."""
    rows = {info.shape[0] for name, info in known.items() if name.endswith(_EMBEDDINGS) and info.shape}
    return rows.pop() if len(rows) == 1 else None


def named(names: Iterable[str], most: int = 3) -> str:
    """Some of the names, for a message: ``a, b, c and 5 more``."""
    ordered = sorted(names)
    shown = ", ".join(one_line(name, 100) for name in ordered[:most])
    return shown if len(ordered) <= most else f"{shown} and {len(ordered) - most:,} more"


def _indexed(directory: Path) -> list[str]:
    """The files that the index names; InputError if it is damaged or one of them is missing."""
    file = directory / INDEX
    places = optional_mapping(file).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise InputError(
            f"{visible(file)}: `weight_map` must be a mapping of tensors to files, not {kind_of(places)}. "
            f"{_COPY}"
        )
    for name in places.values():
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
            raise InputError(
                f"{visible(file)}: `weight_map` must name safetensors files of this directory, "
                f"not {kind_of(name)}. {_COPY}"
            )
    names = sorted(set(places.values()))
    missing = [name for name in names if not (directory / name).is_file()]
    if missing:
        raise InputError(
            f"{visible(directory)}: {len(missing)} of {len(names)} weight files are missing, "
            f"first {one_line(missing[0])}. Copy or download the model again."
        )
    return names


def _without_weights(directory: Path) -> str:
    pickled = sorted(path.name for pattern in _PICKLES for path in directory.glob(pattern))
    if pickled:
        return (
            f"{visible(directory)}: the weights are pickled ({one_line(pickled[0])}), which can run code "
            "when loaded. Convert them to safetensors (`model.save_pretrained`)."
        )
    shards = sorted(path.name for path in directory.glob("model*.safetensors"))
    if shards:
        return (
            f"{visible(directory)}: {one_line(shards[0])} is a part of the weights, and {INDEX}, which says "
            "which file holds which tensor, is missing. Copy or download the model again."
        )
    return f"{visible(directory)}: no weights ({WEIGHTS})."


@lru_cache(maxsize=256)
def _tensors(path: Path, size: int, changed: int) -> Mapping[str, TensorInfo]:
    with regular(path).open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(length) if length <= min(size, _LONGEST_HEADER) else b""
    content = parse_json(header, f"{visible(path)}: the header of this safetensors file") if header else None
    if not isinstance(content, dict):
        raise InputError(_cut_off(path, size))
    content.pop("__metadata__", None)
    found = {name: _tensor(path, name, entry) for name, entry in content.items()}
    ends = [entry["data_offsets"][1] for entry in content.values()]
    if size != 8 + length + max(ends, default=0):
        raise InputError(_cut_off(path, size))
    return found


def _cut_off(path: Path, size: int) -> str:
    return (
        f"{visible(path)} is not a complete safetensors file ({size:,} bytes): a download or a copy was "
        f"interrupted. {_COPY}"
    )


def _tensor(path: Path, name: str, entry: Any) -> TensorInfo:
    if isinstance(entry, dict):
        dtype, shape, place = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
        if isinstance(dtype, str) and _are_whole(shape) and _are_whole(place) and len(place) == 2:
            return TensorInfo(tuple(shape), dtype)
    raise InputError(
        f"{visible(path)}: the header's entry of tensor {quoted(name, 100)} is damaged (it needs dtype, "
        f"shape and data_offsets). {_COPY}"
    )


def _are_whole(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 1 << 62 for item in value)
