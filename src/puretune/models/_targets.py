"""Whether a base has layers of the names that a recipe targets: told from its files, before it is loaded."""

from __future__ import annotations

from collections.abc import Sequence

from puretune.errors import unknown
from puretune.models._json_files import optional_mapping
from puretune.models._resolve import resolve_model_path
from puretune.models._types import ModelSpec
from puretune.models._weights import tensors_of, weight_files

ALL_LINEAR = "all-linear"
_SAME_NAMES = (
    "gemma",
    "gemma2",
    "gpt2",
    "gpt_neox",
    "granite",
    "llama",
    "mistral",
    "olmo2",
    "opt",
    "phi",
    "phi3",
    "qwen2",
    "qwen3",
    "smollm3",
    "stablelm",
    "starcoder2",
)
"""Families whose modules are named as their tensors; others are asked when the model is loaded."""
_NOT_LINEAR = ("embed_tokens", "embed_positions", "embed_in", "wte", "wpe", "word_embeddings")
_HEAD = "lm_head"
"""Has no tensor of its own where it is tied to the embedding."""


def check_targets(spec: ModelSpec, targets: Sequence[str], where: str = "recipe.targets") -> None:
    """InputError with the nearest name where a target names no linear layer of the base.

    Nothing is said where the files do not tell (another family of models, weights that are not here).
    """
    path = resolve_model_path(spec)
    if optional_mapping(path / "config.json").get("model_type") not in _SAME_NAMES:
        return
    known = {
        name.removesuffix(".weight")
        for name, info in tensors_of(weight_files(path)).items()
        if len(info.shape) > 1
    }
    layers = {name for name in known if name.rpartition(".")[2] not in _NOT_LINEAR} | {_HEAD}
    for target in targets:
        if target != ALL_LINEAR and not any(is_named(name, target) for name in layers):
            ends = {name.rpartition(".")[2] for name in layers}
            raise unknown("target layer", target, [*ends, ALL_LINEAR], where)


def is_named(layer: str, target: str) -> bool:
    """Whether a target is a layer's name, or its last parts."""
    return layer == target or layer.endswith(f".{target}")
