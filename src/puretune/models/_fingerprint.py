"""The fingerprint of a base model: SHA-256 over the files that can change a token or a logit.

Digests of large files are remembered (by real path, size and modification time), so that a finished study
need not read gigabytes again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path

from puretune.errors import EnvironmentFault
from puretune.models._resolve import (
    TOKENIZER_FILES,
    hub_fault,
    is_hub_id,
    require_hub_id,
    resolve_model_path,
)
from puretune.models._types import ModelSpec
from puretune.models._weights import weight_files
from puretune.store import sha256_file, write_text

_SETTINGS = (
    "config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    *TOKENIZER_FILES,
)


_LARGE = 1 << 24
"""Bytes from which on a file's digest is worth remembering: smaller ones are read as fast as the memory."""


def fingerprint(spec: ModelSpec) -> str:
    """SHA-256 (64 hex digits) over configuration, tokenizer, chat template and weights; torch is not needed.

    The same content has the same fingerprint wherever it lies. Weights that are only on the hub are not
    downloaded for this: the hub knows their digests.
    """
    if is_hub_id(spec) and not _weights_are_here(spec):
        return _digest_of({**_settings(resolve_model_path(spec, weights=False)), **_hub_weights(spec)})
    directory = resolve_model_path(spec)
    return _digest_of({**_settings(directory), **_digests(weight_files(directory))})


def provisional_fingerprint(spec: ModelSpec) -> str:
    """Placeholder for the fingerprint while the weights are not here: no stored thing has it in its key."""
    return "without weights " + _digest_of(_settings(resolve_model_path(spec, weights=False)))


def digest_of_files(paths: Iterable[Path]) -> str:
    """SHA-256 over the names and contents of files."""
    return _digest_of(_digests(paths))


def cache_directory() -> Path:
    """Where puretune keeps what it can make again: ``PURETUNE_CACHE``, or ``~/.cache/puretune``."""
    return Path(os.environ.get("PURETUNE_CACHE") or Path.home() / ".cache" / "puretune")


def _digest_of(digests: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()


def _settings(directory: Path) -> dict[str, str]:
    templates = sorted((directory / "additional_chat_templates").glob("*.jinja"))
    present = [directory / name for name in dict.fromkeys(_SETTINGS) if (directory / name).is_file()]
    return _digests([*present, *templates])


def _digests(paths: Iterable[Path]) -> dict[str, str]:
    return {path.name: _digest_once(path.resolve()) for path in paths}


def _digest_once(real: Path) -> str:
    state = real.stat()
    if state.st_size < _LARGE:
        return _digest(real)
    entry = f"{real}|{state.st_size}|{state.st_mtime_ns}"
    known = _remembered()
    if entry not in known:
        known[entry] = _digest(real)
        _remember({**_remembered(), entry: known[entry]})
    return known[entry]


def _digest(real: Path) -> str:
    # The hub's cache names large files by their SHA-256 and the hub client checks it.
    if real.parent.name == "blobs" and re.fullmatch(r"[0-9a-f]{64}", real.name):
        return real.name
    return sha256_file(real)


def _memory() -> Path:
    return cache_directory() / "file-digests.json"


def _remembered() -> dict[str, str]:
    try:
        content = json.loads(_memory().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _remember(entries: dict[str, str]) -> None:
    there = {entry: digest for entry, digest in entries.items() if Path(entry.rsplit("|", 2)[0]).exists()}
    try:
        write_text(_memory(), json.dumps(there, indent=0, sort_keys=True))
    except EnvironmentFault:
        return  # a cache that cannot be written only costs time


def _weights_are_here(spec: ModelSpec) -> bool:
    from huggingface_hub import snapshot_download

    require_hub_id(spec)
    try:
        directory = Path(snapshot_download(spec.model, revision=spec.revision, local_files_only=True))
        return bool(weight_files(directory))
    except Exception:  # not cached, or not whole
        return False


def _hub_weights(spec: ModelSpec) -> dict[str, str]:
    """Digests of the weight files as the hub states them."""
    from huggingface_hub import HfApi

    try:
        info = HfApi().model_info(spec.model, revision=spec.revision, files_metadata=True)
    except Exception as error:
        raise hub_fault(spec, error) from error
    found = {file.rfilename: file.lfs.sha256 for file in info.siblings or () if file.lfs is not None}
    return {name: digest for name, digest in found.items() if re.fullmatch(r"model.*\.safetensors", name)}
