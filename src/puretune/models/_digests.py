"""Digests of files, remembered for large ones, and the directory in which puretune keeps what it can make
again.

A digest is remembered by real path, size and modification time, so that a finished study need not read
gigabytes again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path

from puretune.errors import EnvironmentFault
from puretune.store import sha256_file, write_text

_LARGE = 1 << 24
"""Bytes from which on a file's digest is worth remembering: smaller ones are read as fast as the memory."""


def cache_directory() -> Path:
    """Where puretune keeps what it can make again: ``PURETUNE_CACHE``, or ``~/.cache/puretune``."""
    return Path(os.environ.get("PURETUNE_CACHE") or Path.home() / ".cache" / "puretune")


def digests(paths: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of each file, by name."""
    return {path.name: digest_once(path.resolve()) for path in paths}


def digest_of(known: dict[str, str]) -> str:
    """SHA-256 over digests by name (64 hex digits)."""
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def digest_of_files(paths: Iterable[Path]) -> str:
    """SHA-256 over the names and contents of files."""
    return digest_of(digests(paths))


def digest_once(real: Path) -> str:
    """SHA-256 of a file, read only if it is small or has changed since it was last read."""
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
