"""Keys: the hash of the inputs that determine a thing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from puretune.files import regular


def key_of(inputs: Mapping[str, Any]) -> str:
    """SHA-256 (64 hex digits) over the canonical JSON of ``inputs``. Same inputs, same key, on any machine.

    Raises TypeError for what has no canonical form: a path (it names a place, not a content), a set,
    a key that is not text; ValueError for NaN and infinities.
    """
    return hashlib.sha256(canonical(inputs).encode("ascii")).hexdigest()


def canonical(value: Any) -> str:
    """JSON in one form only: keys sorted, no blanks, ASCII. Tuples are lists, frozen dataclasses mappings."""
    return json.dumps(
        _plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits; OSError where there is no file that ends."""
    with regular(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {_text_key(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    raise TypeError(f"{type(value).__name__} has no canonical form and cannot be part of a key: {value!r}")


def _text_key(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"keys of a mapping must be text, not {key!r}")
    return key
