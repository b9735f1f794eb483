"""Resume points of puretune's own tuners: one file of tensors and facts, with the digest of all of it."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from puretune.events import EventSink, Warned
from puretune.files import regular
from puretune.store import canonical, set_aside, write_bytes

if TYPE_CHECKING:
    from puretune.tuning._types import Recipe

_FORMAT = "2"
"""Changes whenever older files cannot be read any more."""


def write_state(file: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Publish a resume point in place of the one before; EnvironmentFault if it cannot be written."""
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    about = {"format": _FORMAT, "facts": canonical(facts)}
    write_bytes(file, save(held, metadata={**about, "sha256": _digest(held, about)}))


def read_state(file: Path, on_event: EventSink) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
    """(facts, tensors on the CPU), or None if there is no resume point.

    One that was damaged is set aside: the training then starts again.
    """
    if not file.exists():
        return None
    try:
        return _read(file)
    except Exception as error:  # whatever a parser makes of damaged bytes
        why = str(error).partition("\n")[0] or type(error).__name__
        set_aside(file, why, lambda text: on_event(Warned(text)))
        return None


def _read(file: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    with safe_open(regular(file), framework="pt", device="cpu") as content:
        about = dict(content.metadata() or {})
        tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
    digest = about.pop("sha256", None)
    if about.get("format") != _FORMAT or digest != _digest(tensors, about):
        raise ValueError("its content is not what was written")
    facts: dict[str, Any] = json.loads(about["facts"])
    return facts, tensors


def _digest(tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> str:
    """SHA-256 over facts, names, types, shapes and bytes."""
    digest = hashlib.sha256(canonical(about).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


class Pace:
    """When the next resume point is due: after a number of steps or of minutes, whichever comes first."""

    def __init__(self, recipes: Iterable[Recipe]) -> None:
        found = list(recipes)
        self._steps = min(recipe.checkpoint_every for recipe in found)
        self._seconds = 60 * min(recipe.checkpoint_minutes for recipe in found)
        self._last = time.monotonic()

    @property
    def late(self) -> bool:
        """Whether the minutes since the last resume point are over; no clock that is set matters."""
        return time.monotonic() - self._last >= self._seconds

    def due(self, step: int) -> bool:
        """Whether one is due after ``step`` steps."""
        return step % self._steps == 0 or self.late

    def saved(self) -> None:
        """One has been written."""
        self._last = time.monotonic()
