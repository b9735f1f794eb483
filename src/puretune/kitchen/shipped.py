"""The kitchen's model as it comes with puretune: an adapter of a few MB, merged into SmolLM2 when first asked
for and kept in puretune's cache."""

from __future__ import annotations

import shutil
from pathlib import Path

from puretune.errors import EnvironmentFault
from puretune.kitchen._build import ADAPTER, BASE, write_merged
from puretune.models import ADAPTER_CONFIG, ADAPTER_WEIGHTS, cache_directory, load_base
from puretune.store import faults, make_directory, publish_directory, sha256_file, temporary_name

PACKAGED = Path(__file__).parent / ADAPTER


def model_path() -> Path:
    """The directory of the packaged model; EnvironmentFault if SmolLM2 is not installed, or puretune comes
    without the adapter."""
    if not (PACKAGED / ADAPTER_CONFIG).is_file():
        raise EnvironmentFault(
            "the kitchen's model does not come with this puretune. Build it (some minutes): "
            "puretune kitchen build --seed 0 --out runs/kitchen, then `model: {path: runs/kitchen}`."
        )
    digest = sha256_file(PACKAGED / ADAPTER_WEIGHTS)
    directory = cache_directory() / "kitchen" / digest[:16]
    if not (directory / "config.json").is_file():
        _merge(directory)
    return directory


def _merge(directory: Path) -> None:
    """Publishes the merged model, complete or not at all."""
    base = load_base(BASE)
    make_directory(directory.parent)
    partial = make_directory(temporary_name(directory))
    try:
        with faults(directory):
            write_merged(base, PACKAGED, partial)
        publish_directory(partial, directory, replace=False)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
