"""How far each layer of an adapter is from what alignment changed, and adapters changed where it is far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from safetensors import safe_open
from torch import Tensor

from puretune.errors import InputError
from puretune.models._weights import tensors, weight_files
from puretune.models.transforms.low_rank import LowRank, weighted_sum
from puretune.visible import one_line, visible

_Pair = tuple[Tensor, Tensor]


def projected(
    adapter: LowRank, aligned: Path, unaligned: Path, tau: float, layers: int | None = None
) -> LowRank:
    """The adapter with C B in place of B in layers whose cosine is at most ``tau``, or the ``layers`` lowest.

    InputError for a layer that one of the models does not have, or has in another size.
    """
    towards = _towards(adapter, aligned, unaligned)
    cosines = {name: cosine(adapter.pairs[name], towards[name]) for name in adapter.pairs}
    far = {name for name, value in cosines.items() if value <= tau}
    if layers is not None:
        far = set(sorted(cosines, key=lambda name: cosines[name])[:layers])
    pairs = {name: (a, towards[name] if name in far else b) for name, (a, b) in adapter.pairs.items()}
    return replace(adapter, pairs=pairs)


def merged_where_far(
    adapter: LowRank,
    other: LowRank,
    aligned: Path,
    unaligned: Path,
    tau: float,
    weights: tuple[float, float],
) -> LowRank:
    """The weighted sum of two adapters in layers of the first whose cosine is at most ``tau``; elsewhere the
    first as it is. InputError as :func:`projected`."""
    towards = _towards(adapter, aligned, unaligned)
    far = {name for name, pair in adapter.pairs.items() if cosine(pair, towards[name]) <= tau}
    first = {name: (a, weights[0] * b if name in far else b) for name, (a, b) in adapter.pairs.items()}
    second = {name: (a, weights[1] * b) for name, (a, b) in other.pairs.items() if name in far}
    if not second:
        return adapter
    return weighted_sum([1.0, 1.0], [replace(adapter, pairs=first), replace(other, pairs=second)])


def cosine(pair: _Pair, towards: Tensor) -> float:
    """cos(C B A, B A) of a layer, its matrices seen as vectors; 1 where the adapter changes nothing.

    ``pair``: A [rank, inputs] and B [outputs, rank]; ``towards``: C B.
    """
    a, b = pair
    gram = a @ a.T
    inner = float(((towards.T @ b) * gram).sum())
    sizes = [float(((one.T @ one) * gram).sum()) ** 0.5 for one in (towards, b)]
    return inner / (sizes[0] * sizes[1]) if all(sizes) else 1.0


def _towards(adapter: LowRank, aligned: Path, unaligned: Path) -> dict[str, Tensor]:
    """C B of each layer, without making C, which is as large as outputs squared."""
    places = [_places(directory) for directory in (aligned, unaligned)]
    found = {}
    for name, (_, b) in adapter.pairs.items():
        after, before = (
            _weight(one, name, directory) for one, directory in zip(places, (aligned, unaligned), strict=True)
        )
        if after.shape != before.shape or after.shape[0] != b.shape[0]:
            raise InputError(
                f"{visible(unaligned)}: {one_line(name)} is {list(before.shape)}, and {list(after.shape)} in "
                "the study's model. Name the model that it was aligned from."
            )
        change = after - before
        size = float(change.norm())
        found[name] = change @ (change.T @ b) / size if size else b * 0
    return found


def _places(directory: Path) -> dict[str, Path]:
    return {name: file for file in weight_files(directory) for name in tensors(file)}


def _weight(places: Mapping[str, Path], layer: str, directory: Path) -> Tensor:
    """A layer's weight [outputs, inputs] in float32."""
    name = f"{layer}.weight"
    if name not in places:
        raise InputError(f"{visible(directory)}: no tensor {one_line(name)}, which the adapter changes.")
    with safe_open(places[name], framework="pt") as file:
        weight: Tensor = file.get_tensor(name).float()
    return weight
