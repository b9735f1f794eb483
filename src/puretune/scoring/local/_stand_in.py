"""Whether a judge's directory holds the judge, or small weights that stand in for it in a test."""

from __future__ import annotations

import json
from pathlib import Path

from puretune.models import ModelSpec, resolve_model_path

STAND_IN = "puretune-stand-in.json"
"""A file of this name says that the weights in its directory are not a judge."""
_LEAST_BYTES = 200_000_000
"""The smallest published judge (Llama Guard 3, 1B parameters, four bits) has more than twice as many."""


def stand_in_reason(spec: ModelSpec) -> str | None:
    """Why a model is taken for a stand-in; None if it may be the real one.

    A manifest (``puretune-stand-in.json``) or ``"puretune_stand_in": true`` in the configuration says so;
    weights that are too small for any published judge show it.
    """
    directory = resolve_model_path(spec, weights=False)
    if (directory / STAND_IN).is_file():
        return f"{STAND_IN} is in the directory of the weights"
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    if config.get("puretune_stand_in"):
        return "its configuration says so"
    size = _bytes_of(directory)
    if 0 < size < _LEAST_BYTES:
        return f"its weights have {size:,} bytes: too few for a published judge"
    return None


def _bytes_of(directory: Path) -> int:
    """Bytes of the weights that are on this machine; 0 if they are only on the hub."""
    return sum(path.stat().st_size for path in directory.glob("*.safetensors"))
