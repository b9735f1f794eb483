"""An adapter's files, read and checked as far as they say it themselves: configuration, names, numbers.

PEFT's names are ``base_model.model.<layer>.lora_A.weight``. Its loader skips what is named otherwise, so
other names are an error here, and so is any tensor that is empty or not finite.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from puretune.errors import InputError
from puretune.models._adapter_config import ADAPTER_CONFIG, adapter_config, check_config, obstacle
from puretune.models._weights import require_whole
from puretune.visible import one_line, visible

if TYPE_CHECKING:
    import numpy

ADAPTER_WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."
_AGAIN = "Save it again with PEFT's save_pretrained."
_PARTS = (".lora_A.weight", ".lora_B.weight")
_EXPONENTS = {
    "F64": ("<u8", 0x7FF0_0000_0000_0000),
    "F32": ("<u4", 0x7F80_0000),
    "F16": ("<u2", 0x7C00),
    "BF16": ("<u2", 0x7F80),
}
"""Number format -> integers of that width, and the exponent's bits: NaN and infinity have all of them."""
_CHUNK = 1 << 22
"""Numbers that are checked together."""


@dataclass(frozen=True)
class AdapterFiles:
    """What an adapter's directory holds; both files are checked."""

    path: Path
    config: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]
    """Of every tensor, by its name in the file."""
    more: str | None
    """What makes it more than plain LoRA (a field with its value, or a tensor); None: nothing."""

    @property
    def weights(self) -> Path:
        return self.path / ADAPTER_WEIGHTS


def read_adapter(path: Path) -> AdapterFiles:
    """Reads and checks an adapter's configuration and tensors; torch and PEFT are not needed for plain LoRA.

    InputError, with file and field or tensor, where the adapter cannot be applied in full.
    """
    config = adapter_config(path)
    check_config(path, config)
    file = path / ADAPTER_WEIGHTS
    header, start = _header(file)
    where = visible(file)
    if not header:
        raise InputError(f"{where}: no tensors, so this adapter changes nothing. {_AGAIN}")
    for name, about in header.items():
        _check_name(where, name)
        _check_numbers(where, name, _bits(file, about, start, where, name))
    shapes = {name: tuple(about["shape"]) for name, about in header.items()}
    strange = next((f"the tensor {one_line(name)}" for name in shapes if not name.endswith(_PARTS)), None)
    found = AdapterFiles(path, config, shapes, obstacle(config) or strange)
    if config["peft_type"] == "LORA":
        _check_pairs(found)
    return found


def _header(file: Path) -> tuple[dict[str, Any], int]:
    """Every tensor's entry, and where their bytes begin."""
    require_whole(file)
    with file.open("rb") as content:
        length = int.from_bytes(content.read(8), "little")
        header = json.loads(content.read(length))
    header.pop("__metadata__", None)
    return header, 8 + length


def _check_name(where: str, name: str) -> None:
    said = one_line(name)
    if "_orig_mod." in name:
        raise InputError(
            f"{where}: {said} was saved from a compiled model, so PEFT would not find its layer. Take "
            "`_orig_mod.` out of the tensors' names, or save the adapter of the model that was compiled."
        )
    if ".default." in name or name.endswith(".default"):
        raise InputError(
            f"{where}: {said} still has the adapter's name in it, so PEFT would not find its layer. Take "
            f"`.default` out of the tensors' names. {_AGAIN}"
        )
    if not name.startswith(PREFIX):
        raise InputError(
            f"{where}: {said} is not a name that this adapter's loader knows. Put `{PREFIX}` in front of the "
            f"tensors' names. {_AGAIN}"
        )


def _bits(file: Path, about: Mapping[str, Any], start: int, where: str, name: str) -> _Bits:
    """The tensor's numbers as integers, read when they are checked."""
    import numpy

    if about["dtype"] not in _EXPONENTS:
        raise InputError(
            f"{where}: {one_line(name)} holds {one_line(about['dtype'])}; an adapter's tensors are "
            f"{', '.join(_EXPONENTS)}. Save it in one of these formats."
        )
    kind, exponent = _EXPONENTS[about["dtype"]]
    first, last = about["data_offsets"]
    count = (last - first) // numpy.dtype(kind).itemsize
    if count == 0:
        raise InputError(
            f"{where}: {one_line(name)} is empty (shape {about['shape']}). DeepSpeed ZeRO-3 and FSDP save it "
            "so where the weights were not gathered first. Gather them, then save the adapter again."
        )
    return _Bits(numpy.memmap(file, kind, "r", start + first, (count,)), exponent)


@dataclass(frozen=True)
class _Bits:
    numbers: numpy.ndarray[Any, Any]
    exponent: int

    def wrong(self) -> int:
        """How many are NaN or infinite."""
        chunks = range(0, len(self.numbers), _CHUNK)
        return sum(
            int(((self.numbers[i : i + _CHUNK] & self.exponent) == self.exponent).sum()) for i in chunks
        )


def _check_numbers(where: str, name: str, bits: _Bits) -> None:
    wrong = bits.wrong()
    if wrong:
        raise InputError(
            f"{where}: {wrong:,} of {len(bits.numbers):,} numbers in {one_line(name)} are not finite (NaN or "
            "infinite), so the adapter cannot be used. Train it again with a lower learning rate."
        )


def _check_pairs(files: AdapterFiles) -> None:
    """InputError if an A or B is alone, or where their sizes are not those of the configuration."""
    rank = files.config["r"]
    for name, shape in files.shapes.items():
        if not name.endswith(_PARTS):
            continue
        other = name[: -len(_PARTS[0])] + _PARTS[name.endswith(_PARTS[0])]
        if other not in files.shapes:
            raise InputError(
                f"{visible(files.weights)}: {one_line(name)} is there without {one_line(other)}. {_AGAIN}"
            )
        if files.more is not None:
            continue  # sizes are PEFT's to judge: patterns, experts and convolutions have others
        own = shape[0] if name.endswith(_PARTS[0]) else shape[-1]
        if len(shape) != 2 or own != rank:
            wanted = f"[{rank}, inputs]" if name.endswith(_PARTS[0]) else f"[outputs, {rank}]"
            raise InputError(
                f"{visible(files.weights)}: {one_line(name)} is {list(shape)}, and {ADAPTER_CONFIG} says r: "
                f"{rank}, so it should be {wanted}. Name the two files of one training."
            )
