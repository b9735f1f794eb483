"""LoRA adapters as tensors: read from PEFT's format, added with weights, written to it again.

Of each layer an adapter has A [rank, inputs] and B [outputs, rank], in float32 and with the scaling already
in B, so that ``B A`` is what it adds to the layer's weight. Layers are matched by name.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from puretune.errors import InputError
from puretune.models._adapter_config import ADAPTER_CONFIG, obstacle
from puretune.models._adapter_files import ADAPTER_WEIGHTS, PREFIX, read_adapter
from puretune.store import write_bytes, write_text
from puretune.visible import one_line, visible

_PATTERNS = ("rank_pattern", "alpha_pattern")


@dataclass(frozen=True)
class LowRank:
    """A LoRA adapter: (A, B) by layer, and the configuration that it was read with."""

    pairs: Mapping[str, tuple[Tensor, Tensor]]
    config: Mapping[str, Any]

    @property
    def rank(self) -> int:
        """The largest rank of a layer."""
        return max(len(a) for a, _ in self.pairs.values())


def read_low_rank(path: Path) -> LowRank:
    """The adapter in a directory; InputError if it is more than LoRA on whole layers."""
    files = read_adapter(path)
    more = obstacle({key: value for key, value in files.config.items() if key not in _PATTERNS})
    strange = [name for name in files.shapes if not re.search(r"\.lora_[AB]\.weight$", name)]
    if more or strange:
        what = more or f"the tensor {one_line(strange[0])}"
        raise InputError(f"{visible(path)}: not a plain LoRA adapter ({what}), so it cannot be transformed.")
    tensors = load_file(files.weights)
    names = dict.fromkeys(key.removeprefix(PREFIX).rpartition(".lora_")[0] for key in tensors)
    pairs = {}
    for name in names:
        a, b = (tensors[f"{PREFIX}{name}.lora_{part}.weight"].float() for part in "AB")
        pairs[name] = a, b * _scaling(files.config, name, len(a))
    return LowRank(pairs, files.config)


def weighted_sum(weights: Sequence[float], adapters: Sequence[LowRank]) -> LowRank:
    """The adapter that adds to each layer the weighted sum of what the adapters add to it.

    Ranks are put side by side, so it is exact; a layer that not all of them change is filled up with zeros,
    which add nothing. InputError if two of them change layers of one name and of different sizes.
    """
    ranks = [adapter.rank for adapter in adapters]
    names = dict.fromkeys(name for adapter in adapters for name in adapter.pairs)
    pairs = {}
    for name in names:
        parts = [adapter.pairs.get(name) for adapter in adapters]
        outputs, inputs = _size(name, [part for part in parts if part is not None])
        a, b = torch.zeros(sum(ranks), inputs), torch.zeros(outputs, sum(ranks))
        for part, weight, first in zip(parts, weights, _firsts(ranks), strict=True):
            if part is not None:
                a[first : first + len(part[0])] = part[0]
                b[:, first : first + len(part[0])] = weight * part[1]
        pairs[name] = a, b
    return LowRank(pairs, adapters[0].config)


def write_low_rank(directory: Path, adapter: LowRank) -> None:
    """Writes the adapter in PEFT's format, as plain LoRA of one rank; the scaling is in its B."""
    kept = ("peft_type", "task_type", "base_model_name_or_path", "revision", "fan_in_fan_out")
    config = {
        **{key: adapter.config.get(key) for key in kept},
        "inference_mode": True,
        "r": adapter.rank,
        "lora_alpha": adapter.rank,
        "lora_dropout": 0.0,
        "target_modules": sorted(adapter.pairs),
        "bias": "none",
    }
    tensors = {}
    for name, (a, b) in adapter.pairs.items():
        tensors[f"{PREFIX}{name}.lora_A.weight"] = a.contiguous()
        tensors[f"{PREFIX}{name}.lora_B.weight"] = b.contiguous()
    write_text(directory / ADAPTER_CONFIG, json.dumps(config, indent=2) + "\n")
    write_bytes(directory / ADAPTER_WEIGHTS, save(tensors, metadata={"format": "pt"}))


def _scaling(config: Mapping[str, Any], name: str, rank: int) -> float:
    """What PEFT multiplies B A with: alpha (the layer's, where a pattern names it) by the layer's rank."""
    patterns = config.get("alpha_pattern") or {}
    found = [value for key, value in patterns.items() if re.match(rf"(.*\.)?({key})$", name)]
    alpha = float(found[0] if found else config["lora_alpha"])
    return alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank


def _size(name: str, parts: Sequence[tuple[Tensor, Tensor]]) -> tuple[int, int]:
    """(outputs, inputs) of the layer that these adapters change."""
    sizes = [(b.shape[0], a.shape[1]) for a, b in parts]
    if len(set(sizes)) > 1:
        raise InputError(
            f"adapters of different base models cannot be merged: {one_line(name)} is "
            f"{' and '.join(str(list(size)) for size in sizes)}. Name adapters of this study's model."
        )
    return sizes[0]


def _firsts(ranks: Sequence[int]) -> list[int]:
    """Where each adapter's rows begin."""
    return [sum(ranks[:number]) for number in range(len(ranks))]
