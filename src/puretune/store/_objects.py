"""The store: objects by kind and key, published whole, their digests checked whenever they are read.

On disk an object is a directory, ``ROOT/kind/ab/abcd.../``, with its files and a ``manifest.json``:

    {"kind": "answers", "key": "abcd...", "about": {...},
     "files": {"data.jsonl": {"bytes": 812, "sha256": "..."}}}
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from puretune.errors import CheckFailed
from puretune.store._files import (
    TEMPORARY,
    beside,
    faults,
    json_lines,
    make_directory,
    orphaned,
    publish_directory,
    remove,
)
from puretune.store._keys import sha256_file

MANIFEST = "manifest.json"
_DATA_JSON, _DATA_LINES, _CONTENT = "data.json", "data.jsonl", "content"


@dataclass(frozen=True)
class Stored:
    """An object whose files have just been verified."""

    kind: str
    key: str
    path: Path
    about: Mapping[str, Any] = field(default_factory=dict)
    """What its maker noted beside it (seconds, token counts); no input of anything."""

    def json(self) -> Any:
        """The value of an object put with :meth:`Store.put_json`."""
        return json.loads((self.path / _DATA_JSON).read_text("utf-8"))

    def lines(self) -> list[dict[str, Any]]:
        """The rows of an object put with :meth:`Store.put_lines`."""
        with (self.path / _DATA_LINES).open(encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    @property
    def directory(self) -> Path:
        """The directory of an object put with :meth:`Store.put_directory`."""
        return self.path / _CONTENT


class Store:
    """Objects under ``root``. Safe to share between processes: publication is one rename."""

    def __init__(self, root: Path) -> None:
        """Open (and make) the store; EnvironmentFault where ``root`` cannot be written."""
        self.root = make_directory(Path(root))
        self._sweep()

    def path(self, kind: str, key: str) -> Path:
        """Where the object lies, or would lie."""
        return self.root / kind / key[:2] / key

    def has(self, kind: str, key: str) -> bool:
        """Whether the object has been published (nothing is verified)."""
        return (self.path(kind, key) / MANIFEST).is_file()

    def get(self, kind: str, key: str) -> Stored | None:
        """The object, verified, or None. CheckFailed where its files are not what was published."""
        path = self.path(kind, key)
        if not path.exists():
            return None
        manifest = _manifest(path)
        if (manifest.get("kind"), manifest.get("key")) != (kind, key):
            raise _damaged(path / MANIFEST, f"it describes {manifest.get('kind')} {manifest.get('key')}")
        for name, facts in manifest["files"].items():
            _verify(path / name, facts["sha256"], path)
        return Stored(kind, key, path, manifest.get("about", {}))

    def put_json(self, kind: str, key: str, value: Any, about: Mapping[str, Any] | None = None) -> Stored:
        """Publish one JSON value."""
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        return self._put(kind, key, {_DATA_JSON: text + "\n"}, about)

    def put_lines(
        self, kind: str, key: str, rows: Iterable[Mapping[str, Any]], about: Mapping[str, Any] | None = None
    ) -> Stored:
        """Publish rows as JSON lines, in their order."""
        return self._put(kind, key, {_DATA_LINES: json_lines(rows)}, about)

    def put_directory(
        self, kind: str, key: str, source: Path, about: Mapping[str, Any] | None = None
    ) -> Stored:
        """Publish a copy of a directory (an adapter)."""
        return self._put(kind, key, source, about)

    def _put(
        self, kind: str, key: str, content: Mapping[str, str] | Path, about: Mapping[str, Any] | None
    ) -> Stored:
        existing = self._healthy(kind, key)
        if existing is not None:
            return existing
        final = self.path(kind, key)
        make_directory(final.parent)
        temporary = beside(final)
        try:
            with faults(final):
                _fill(temporary, content)
                _write_manifest(temporary, kind, key, dict(about or {}))
            publish_directory(temporary, final, replace=False)
        finally:
            remove(temporary)
        return Stored(kind, key, final, dict(about or {}))

    def _healthy(self, kind: str, key: str) -> Stored | None:
        """Same key, same thing: what is there and sound stays; what is damaged is removed."""
        try:
            return self.get(kind, key)
        except CheckFailed:
            remove(self.path(kind, key))
            return None

    def _sweep(self) -> None:
        """Remove temporary directories whose maker is gone (a process killed between write and rename)."""
        for left in self.root.glob(f"*/*/.*{TEMPORARY}"):
            if orphaned(left):
                remove(left)


def open_store(run: Path) -> Store:
    """The store of a run directory: inside it, unless ``PURETUNE_STORE`` names another place."""
    return Store(_root(run))


def existing_store(run: Path) -> Store | None:
    """The store of a run directory, or None where nothing has been kept yet; nothing is made."""
    return Store(_root(run)) if _root(run).is_dir() else None


def _root(run: Path) -> Path:
    elsewhere = os.environ.get("PURETUNE_STORE")
    return Path(elsewhere).expanduser() if elsewhere else run / "store"


def _fill(directory: Path, content: Mapping[str, str] | Path) -> None:
    if isinstance(content, Path):
        shutil.copytree(content, directory / _CONTENT)
        return
    directory.mkdir()
    for name, text in content.items():
        (directory / name).write_text(text, encoding="utf-8", newline="\n")


def _write_manifest(directory: Path, kind: str, key: str, about: dict[str, Any]) -> None:
    files = {
        path.relative_to(directory).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
    manifest = {"kind": kind, "key": key, "about": about, "files": files}
    (directory / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((path / MANIFEST).read_text("utf-8"))
    except FileNotFoundError:
        raise _damaged(path / MANIFEST, "it is missing") from None
    except ValueError:
        raise _damaged(path / MANIFEST, "it is not JSON") from None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise _damaged(path / MANIFEST, "it lists no files")
    return manifest


def _verify(file: Path, digest: str, owner: Path) -> None:
    if not file.is_file():
        raise _damaged(file, "it is missing", owner)
    if sha256_file(file) != digest:
        raise _damaged(file, "its content is not what was published", owner)


def _damaged(file: Path, what: str, owner: Path | None = None) -> CheckFailed:
    return CheckFailed(
        f"{file}: {what}. Delete the directory {owner or file.parent} and run the same command again: "
        "it is computed anew."
    )
