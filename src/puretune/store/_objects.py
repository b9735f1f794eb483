"""The store: objects by kind and key, published whole, their digests checked whenever they are read.

On disk an object is a directory, ``ROOT/kind/ab/abcd.../``, with its files and a ``manifest.json``:

    {"kind": "answers", "key": "abcd...", "about": {...},
     "files": {"data.jsonl": {"bytes": 812, "sha256": "..."}}, "sha256": "..."}

The last one is the digest of the manifest's own other entries.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

from puretune.errors import CheckFailed, EnvironmentFault, InputError
from puretune.files import parse_json, read_mapping
from puretune.store._damage import Say, set_aside, was_set_aside
from puretune.store._files import (
    encoded,
    faults,
    make_directory,
    publish_directory,
    remove,
    sweep,
    temporary_name,
)
from puretune.store._json import json_lines, json_text
from puretune.store._keys import key_of, sha256_file
from puretune.visible import visible

MANIFEST = "manifest.json"
_DATA_JSON, _DATA_LINES, _CONTENT = "data.json", "data.jsonl", "content"


@dataclass(frozen=True)
class Stored:
    """An object whose files have just been verified."""

    kind: str
    key: str
    path: Path
    about: Mapping[str, Any] = field(default_factory=dict)
    """What its maker noted about it (seconds, token counts); never an input."""

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


def silent(text: str) -> None:
    """For callers that ignore messages."""


class Store:
    """Objects under ``root``. Safe to share between processes: publication is one rename.

    What is damaged is as good as missing: it is set aside, ``say`` is told, and whoever needs it makes it
    again. ``say`` None: the store is only read, and nothing in it is touched.
    """

    def __init__(self, root: Path, say: Say | None = silent) -> None:
        """Open (and make) the store; EnvironmentFault if ``root`` cannot be written."""
        self.root = Path(root) if say is None else make_directory(Path(root))
        self._say = say
        if say is not None:
            for directory in self.root.glob("*/*"):
                sweep(directory)

    def opener(self) -> Callable[[], Store]:
        """What opens the store in another process, on this machine or another one; picklable."""
        return partial(Store, self.root.absolute())

    def path(self, kind: str, key: str) -> Path:
        """Where the object lies, or would lie."""
        return self.root / kind / key[:2] / key

    def has(self, kind: str, key: str) -> bool:
        """Whether the object has been published (nothing is verified)."""
        return (self.path(kind, key) / MANIFEST).is_file()

    def get(self, kind: str, key: str) -> Stored | None:
        """The object, verified, or None if it is missing or damaged.

        EnvironmentFault if this user may not read it.
        """
        path = self.path(kind, key)
        if not is_there(path):
            return None
        try:
            return verified(path, kind, key)
        except CheckFailed as damage:
            if self._say is not None:
                set_aside(path, str(damage), self._say)
            return None

    def is_damaged(self, kind: str, key: str) -> bool:
        """Whether the object is there but damaged, or was damaged and has not been made again since."""
        path = self.path(kind, key)
        return self.get(kind, key) is None if is_there(path) else was_set_aside(path)

    def damaged(self, objects: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Which of these, by kind and key, are or were damaged; all of them set aside in one go."""
        return [one for one in dict.fromkeys(objects) if self.is_damaged(*one)]

    @contextmanager
    def held(self, plan: str) -> Iterator[Self]:
        """The store, with a plan's key held while the block runs where machines share it and it can say who
        has the plan."""
        yield self

    def check(self) -> None:
        """EnvironmentFault if another process has taken over what :meth:`held` holds."""

    def put_json(self, kind: str, key: str, value: Any, about: Mapping[str, Any] | None = None) -> Stored:
        """Publish one JSON value."""
        return self._put(kind, key, {_DATA_JSON: json_text(value) + "\n"}, about)

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
        existing = self.get(kind, key)  # same key, same thing
        if existing is not None:
            return existing
        if not self.root.is_dir():
            raise EnvironmentFault(
                f"{visible(self.root)} was moved or removed during the run. Put it back and run the same "
                "command again: it resumes from what is there."
            )
        final = self.path(kind, key)
        make_directory(final.parent)
        temporary = temporary_name(final)
        try:
            with faults(final):
                _fill(temporary, content)
                _write_manifest(temporary, kind, key, dict(about or {}))
            return self._publish(Stored(kind, key, temporary, dict(about or {})))
        finally:
            remove(temporary)

    def _publish(self, made: Stored) -> Stored:
        """Give an object that lies in a temporary directory its place."""
        final = self.path(made.kind, made.key)
        publish_directory(made.path, final, replace=False)
        return replace(made, path=final)


def is_there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _fill(directory: Path, content: Mapping[str, str] | Path) -> None:
    if isinstance(content, Path):
        shutil.copytree(content, directory / _CONTENT)
        return
    directory.mkdir()
    for name, text in content.items():
        (directory / name).write_bytes(encoded(text, directory / name))


def _write_manifest(directory: Path, kind: str, key: str, about: dict[str, Any]) -> None:
    files = {
        path.relative_to(directory).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
    manifest = {"kind": kind, "key": key, "about": about, "files": files}
    text = json.dumps({**manifest, "sha256": key_of(manifest)}, indent=1, sort_keys=True) + "\n"
    (directory / MANIFEST).write_text(text, encoding="utf-8")


def verified(path: Path, kind: str, key: str) -> Stored:
    """The object in ``path``; CheckFailed, saying what, where anything of it is damaged."""
    manifest = manifest_in(path, kind, key)
    for name, digest in manifest.files.items():
        _verify(path / name, digest)
    return Stored(kind, key, path, manifest.about)


@dataclass(frozen=True)
class Manifest:
    """What an object's manifest says."""

    about: dict[str, Any]
    files: dict[str, object]
    """The digest of each."""
    digest: str
    """Its own."""


def manifest_in(path: Path, kind: str, key: str) -> Manifest:
    """The manifest in ``path``; CheckFailed, saying why, where it is damaged or another's."""
    with _readable():
        return _checked(read_mapping(path / MANIFEST, "manifest"), kind, key)


def parsed_manifest(content: bytes, kind: str, key: str) -> Manifest:
    """The same of a manifest's content."""
    with _readable():
        return _checked(parse_json(content, MANIFEST), kind, key)


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise CheckFailed(f"its {MANIFEST} cannot be read: {error}".removesuffix(".")) from None


def _checked(manifest: Any, kind: str, key: str) -> Manifest:
    """What a manifest says; CheckFailed where it is not what was published."""
    if not isinstance(manifest, dict):
        raise CheckFailed(f"its {MANIFEST} is not a mapping")
    if (manifest.get("kind"), manifest.get("key")) != (kind, key):
        raise CheckFailed(f"its {MANIFEST} describes something else")
    digest = manifest.pop("sha256", None)
    if digest != key_of(manifest):
        raise CheckFailed(f"its {MANIFEST} is not what was published")
    files, about = manifest.get("files"), manifest.get("about")
    if not isinstance(files, dict) or not files or not isinstance(about, dict):
        raise CheckFailed(f"its {MANIFEST} lists no files")
    digests = {
        name: facts.get("sha256") if isinstance(facts, dict) else None for name, facts in files.items()
    }
    return Manifest(about, digests, digest)


def _verify(file: Path, digest: object) -> None:
    try:
        if sha256_file(file) != digest:
            raise CheckFailed(f"the content of {visible(file.name)} is not what was published")
    except FileNotFoundError:
        raise CheckFailed(f"{visible(file.name)} is missing") from None
    except PermissionError:
        raise EnvironmentFault(
            f"{visible(file)}: this user may not read it. Check its permissions."
        ) from None
    except (OSError, ValueError) as error:
        raise CheckFailed(f"{visible(file.name)} cannot be read: {error}") from None
