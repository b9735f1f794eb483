"""Adapters on disk: what a directory holds, whose base it was made for, and its manifest.

A directory of puretune's tuners has ``adapter_config.json`` and ``adapter_model.safetensors`` (PEFT's
format), or the files of a full checkpoint, or, of a model that stays with its provider, ``remote_model.json``
with its id; and ``puretune.json``, the manifest. Adapters of other tools have none and are welcome too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from puretune.errors import CheckFailed, InputError
from puretune.models._adapter_config import ADAPTER_CONFIG
from puretune.models._adapter_files import ADAPTER_WEIGHTS, PREFIX, AdapterFiles, read_adapter
from puretune.models._digests import digest_of_files
from puretune.models._fingerprint import fingerprint
from puretune.models._resolve import check_settings, check_weights, resolve_model_path
from puretune.models._types import AdapterRef, CheckpointRef, ModelSpec, ServedModel, TunedModel, shown
from puretune.models._weights import require_whole, weight_files
from puretune.store import sha256_file, write_text
from puretune.visible import one_line, visible

MANIFEST = "puretune.json"
REMOTE_MODEL = "remote_model.json"
_CONFIG = "config.json"
_VERSION = 1


@dataclass(frozen=True)
class Manifest:
    """Where an adapter comes from: everything that a reader needs to judge it, or to make it again."""

    condition: str
    inputs: str
    """Digest of all that determined the training; the same inputs, the same adapter."""
    tuner: str
    """Name and version of the tuner."""
    base: Mapping[str, Any]
    """``model``, ``revision``, ``fingerprint``, ``licence`` (None if the model states none)."""
    templates: Mapping[str, Mapping[str, Any]]
    """Fingerprint -> all fields of each template that rows were trained under."""
    renderer: str
    """Fingerprint of tokenizer, turn markup and stop ids."""
    data_digest: str
    rows: int
    recipe: Mapping[str, Any]
    seed: int
    start: str | None
    """Digest of the adapter that training started from."""
    step: int
    """The optimiser step at which this adapter was kept."""
    steps: int
    """Optimiser steps that the condition trains in all."""
    loss: float | None
    """Mean loss per trained token of that step; None if a provider does not say."""
    tokens: Mapping[str, int]
    """Up to that step: ``seen``, ``trained``, and ``distinct`` (seen, without the prefix that all rows of a
    template share)."""
    sample: str
    """The first row as the model saw it; the trained tokens are in ⟦ ⟧."""
    versions: Mapping[str, str]
    device: str
    dtype: str
    threads: int | None = None
    """CPU threads that made the sums; None on a GPU, at a provider, and before this was recorded."""
    transformed: Mapping[str, Any] | None = None
    """What was done to it after training (``transforms``), with the digests of the ``adapters`` that it was
    made of; None: nothing."""
    files: Mapping[str, str] = field(default_factory=dict)
    """File -> SHA-256, filled in when the manifest is written and checked when it is read."""
    schema_version: int = _VERSION


def adapter_ref(path: Path) -> TunedModel:
    """The adapter, full checkpoint or note of a provider's model in a directory, with its content's digest.

    InputError if there is neither, or where the weights are not safetensors.
    """
    if not path.is_dir():
        raise InputError(f"{path}: no such adapter directory.")
    if (path / REMOTE_MODEL).is_file():
        return ServedModel(_served(path), digest_of_files(_decisive(path)))
    if (path / ADAPTER_CONFIG).is_file():
        if not (path / ADAPTER_WEIGHTS).is_file():
            other = "pickled weights only" if (path / "adapter_model.bin").is_file() else "no weights"
            raise InputError(f"{path}: the adapter has {other}; {ADAPTER_WEIGHTS} is needed.")
        require_whole(path / ADAPTER_WEIGHTS)
        return AdapterRef(path, digest_of_files(_decisive(path)))
    if (path / _CONFIG).is_file():
        return CheckpointRef(path, digest_of_files(_decisive(path)))
    raise InputError(
        f"{path}: neither an adapter ({ADAPTER_CONFIG}) nor a model (config.json). "
        "Name the directory that directly holds these files."
    )


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Writes the manifest next to the adapter's files, with their digests."""
    files = {path.name: sha256_file(path) for path in _decisive(directory)}
    content = asdict(replace(manifest, files=files))
    write_text(directory / MANIFEST, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _decisive(directory: Path) -> list[Path]:
    """The files that make an adapter, a full checkpoint, or the note of a provider's model."""
    if (directory / REMOTE_MODEL).is_file():
        return [directory / REMOTE_MODEL]
    if (directory / ADAPTER_CONFIG).is_file():
        return [directory / ADAPTER_CONFIG, directory / ADAPTER_WEIGHTS]
    check_settings(directory)
    return [directory / _CONFIG, *check_weights(directory)]


def _served(path: Path) -> str:
    try:
        return str(json.loads((path / REMOTE_MODEL).read_text("utf-8"))["model"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckFailed(
            f"{path / REMOTE_MODEL}: not readable. Remove the directory to tune again."
        ) from error


def read_manifest(path: Path) -> Manifest | None:
    """The manifest of the adapter in a directory, or None if another tool made it.

    CheckFailed if a file differs from what the manifest recorded.
    """
    try:
        content = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        known = {f.name for f in fields(Manifest)}
        manifest = Manifest(**{key: value for key, value in content.items() if key in known})
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, AttributeError) as error:
        raise CheckFailed(
            f"{path / MANIFEST}: not a readable manifest ({error}). Remove the directory to tune again."
        ) from error
    for name, digest in manifest.files.items():
        if not (path / name).is_file() or sha256_file(path / name) != digest:
            raise CheckFailed(
                f"{path / name} is not the file that {MANIFEST} recorded. Remove the directory to tune again."
            )
    return manifest


def check_adapter(ref: TunedModel, base: ModelSpec, known: str | None = None) -> str:
    """Whether an adapter can be applied, and fits a base model; returns a note on what could not be checked
    ("" if nothing).

    With a manifest the base's fingerprint decides (``known``: of one that is loaded). Without one the shapes
    do, as far as they go.
    InputError says what of it would not be applied, or which base the adapter was made for.
    """
    if not isinstance(ref, AdapterRef):
        return ""
    files, manifest = read_adapter(ref.path), read_manifest(ref.path)
    if manifest is None:
        return _check_shapes(files, base)
    found = known or fingerprint(base)
    if manifest.base["fingerprint"] != found:
        raise InputError(
            f"{ref.path}: this adapter was made for the base model {manifest.base['model']!r} "
            f"(fingerprint {manifest.base['fingerprint'][:12]}), not for {base.model!r} "
            f"({found[:12]}). Name that base as the study's model, or another adapter."
        )
    return ""


def described(ref: TunedModel | None) -> str:
    """Who answers, for messages: the base model, or the adapter with its condition where one is recorded."""
    if ref is None:
        return "the base model"
    if not isinstance(ref, ServedModel) and (manifest := read_manifest(ref.path)) is not None:
        return f"condition {manifest.condition!r} (step {manifest.step}, {visible(ref.path)})"
    return shown(ref)


def _check_shapes(files: AdapterFiles, base: ModelSpec) -> str:
    stated = files.config.get("base_model_name_or_path")
    said = one_line(stated) if stated else "not named"
    shapes = _shapes(weight_files(resolve_model_path(base)))
    compared = 0
    for name, shape in files.shapes.items():
        module, _, part = name.removeprefix(PREFIX).partition(".lora_")
        expected = shapes.get(f"{module}.weight") or shapes.get(f"{module.partition('.')[2]}.weight")
        if expected is None or part[:2] not in ("A.", "B.") or len(shape) != 2:
            continue
        compared += 1
        # Linear layers keep [out, in], GPT-2's [in, out]: either way the width is one of the two
        if (shape[1] if part.startswith("A.") else shape[0]) not in expected:
            raise InputError(
                f"{files.path}: this adapter was made for another base model ({said}): {one_line(name)} is "
                f"{list(shape)}, but the layer in {base.model!r} is {list(expected)}."
            )
    how = "only the shapes of its layers were compared" if compared else "nothing could be compared"
    return f"{files.path} has no {MANIFEST} and names the base {said!r}; {how}."


def _shapes(files: list[Path]) -> dict[str, tuple[int, ...]]:
    from safetensors import safe_open

    shapes = {}
    for path in files:
        with safe_open(path, framework="numpy") as content:
            shapes.update({name: tuple(content.get_slice(name).get_shape()) for name in content.keys()})  # noqa: SIM118
    return shapes
