"""Whether a model in memory is what its files say: every tensor used, none drawn at random, all finite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from puretune.errors import InputError
from puretune.models._weights import TensorInfo, named
from puretune.visible import visible

_AT_ONCE = 1 << 24
"""Numbers that are checked together."""
_COPY = "Copy or download the model again, or correct how it was saved."


def check_shapes(path: Path, model: Any, stored: Mapping[str, TensorInfo]) -> None:
    """InputError if a tensor of the files has another shape than the configuration asks for.

    ``model``: built from the configuration without memory (torch's device ``meta``).
    """
    asked = {name: tuple(weight.shape) for name, weight in model.named_parameters()}
    wrong = [name for name in asked if name in stored and stored[name].shape != asked[name]]
    if wrong:
        raise InputError(_mismatch(path, wrong[0], stored[wrong[0]].shape, asked[wrong[0]], len(wrong)))


def check_loaded(path: Path, model: Any, info: Mapping[str, Any], ignored: Iterable[str] = ()) -> None:
    """InputError if weights are missing, left over, of another shape or not finite; it names some.

    ``info``: what transformers says about its loading. ``ignored``: beginnings of names that may be missing.
    """
    missing = [name for name in info["missing_keys"] if not name.startswith(tuple(ignored))]
    if missing:
        raise InputError(
            f"{visible(path)}: {len(missing):,} weights of this model are missing from its files: "
            f"{named(missing)}. {_COPY}"
        )
    if info["mismatched_keys"]:
        name, stored, asked = sorted(info["mismatched_keys"])[0]
        raise InputError(_mismatch(path, name, stored, asked, len(info["mismatched_keys"])))
    if info["unexpected_keys"]:
        raise InputError(
            f"{visible(path)}: {len(info['unexpected_keys']):,} tensors in the files are not weights of "
            f"this model: {named(info['unexpected_keys'])}. {_COPY}"
        )
    check_finite(path, model)


def check_finite(path: Path, model: Any) -> None:
    """InputError if a weight is NaN or infinite; it names some."""
    wrong = [name for name, weight in model.named_parameters() if not _is_finite(weight)]
    if wrong:
        raise InputError(
            f"{visible(path)}: {len(wrong):,} weights of this model have numbers that are not finite (NaN or "
            f"infinite): {named(wrong)}. Copy or download the model again, or train it again."
        )


def _is_finite(weight: Any) -> bool:
    """Without a copy of the weight: the least and the largest number are NaN where any number is."""
    if not weight.is_floating_point() or not weight.numel():
        return True
    if weight.element_size() > 1:
        return bool(torch.isfinite(torch.stack(weight.aminmax())).all())
    parts = weight.flatten().split(_AT_ONCE)  # eight bits: torch does not compare these
    return all(bool(torch.isfinite(part.float()).all()) for part in parts)


def _mismatch(path: Path, name: str, stored: Iterable[int], asked: Iterable[int], count: int) -> str:
    more = f" ({count:,} tensors differ)" if count > 1 else ""
    return (
        f"{visible(path)}: the weight {name} is {list(stored)} in the files and {list(asked)} by config.json"
        f"{more}. The two do not belong together: copy or download the model again."
    )
