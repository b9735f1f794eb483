"""What a store in a bucket holds: two listings, of manifests and of files, read side by side."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from puretune.errors import CheckFailed
from puretune.store._bucket import Bucket, Found
from puretune.store._damage import Say
from puretune.store._inventory import Item, State
from puretune.store._objects import Manifest, parsed_manifest
from puretune.store._shared import file_name, set_aside_there
from puretune.store._shared_listing import manifest_name
from puretune.visible import visible


@dataclass(frozen=True)
class _Part:
    """A manifest or a file of one key."""

    key: str
    digest: str
    """Of the manifest that a file belongs to; empty for a manifest."""
    found: Found


class BucketInventory:
    """A store in a bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self.where = bucket.url

    def items(self) -> Iterator[Item]:
        """All there is, kind by kind, in the order of keys."""
        folders = ("objects", "files", "damaged")
        for kind in sorted({kind for folder in folders for kind in self._bucket.folders(folder)}):
            listings = [map(_part, self._bucket.list(f"{folder}/{kind}")) for folder in folders]
            for key, parts in groupby(heapq.merge(*listings, key=_key), _key):
                yield from self._of_key(kind, key, list(parts))

    def now(self) -> datetime:
        """The time by the bucket's clock."""
        return self._bucket.now()

    def about(self, item: Item) -> dict[str, Any]:
        """What its maker noted."""
        return self._manifest(item)[1].about

    def verify(self, item: Item) -> None:
        """CheckFailed if it is damaged."""
        manifest = self._manifest(item)[1]
        for name, digest in manifest.files.items():
            there = self._bucket.sha256(file_name(item.kind, item.key, manifest.digest, name))
            if there != digest:
                what = "is missing" if there is None else "is not what was published"
                raise CheckFailed(f"the content of {visible(name)} {what}")

    def set_aside(self, item: Item, why: str, say: Say) -> None:
        """Empty its manifest, and keep what it was."""
        found = self._bucket.get(manifest_name(item.kind, item.key))
        if found is not None and found.size:
            set_aside_there(self._bucket, found, (item.kind, item.key), why, say)

    def remove(self, item: Item) -> None:
        """Remove it: its manifest first, so that nobody sees half of it."""
        first, *others = item.places
        self._bucket.delete([first])
        self._bucket.delete(others)

    def _manifest(self, item: Item) -> tuple[Found, Manifest]:
        found = self._bucket.get(manifest_name(item.kind, item.key))
        if found is None or not found.size:
            raise CheckFailed("it was removed a moment ago")
        return found, parsed_manifest(found.content, item.kind, item.key)

    def _of_key(self, kind: str, key: str, parts: list[_Part]) -> Iterator[Item]:
        """The object of a key with its files; files that no manifest lists; what was set aside."""
        manifest = next((part.found for part in parts if part.found.name == manifest_name(kind, key)), None)
        digests = {part.digest for part in parts if part.digest}
        ours = self._digest(kind, key, digests) if manifest is not None and manifest.size else ""
        states: dict[State, list[Found]] = {}
        for part in parts:
            states.setdefault(_state(part, manifest, ours), []).append(part.found)
        for state, found in states.items():
            yield _item(kind, key, state, found)

    def _digest(self, kind: str, key: str, digests: set[str]) -> str:
        """Which of these an object's manifest is; asked only where there are several."""
        if len(digests) == 1:
            return next(iter(digests))
        found = self._bucket.get(manifest_name(kind, key))
        try:
            return parsed_manifest(found.content, kind, key).digest if found is not None else ""
        except CheckFailed:
            return "damaged"


def _state(part: _Part, manifest: Found | None, ours: str) -> State:
    if part.found.name.startswith("damaged/") or (manifest is not None and not manifest.size):
        return "damaged"
    of_manifest = part.found is manifest or part.digest == ours
    return "published" if manifest is not None and of_manifest else "unfinished"


def _item(kind: str, key: str, state: State, found: list[Found]) -> Item:
    size, modified = sum(one.size for one in found), max(one.modified for one in found)
    names = sorted((one.name for one in found), reverse=True)  # objects/ before files/
    return Item(kind, key, state, size, modified, tuple(names))


def _part(found: Found) -> _Part:
    """``objects/KIND/ab/KEY.json``, ``files/KIND/ab/KEY/DIGEST/NAME`` or ``damaged/KIND/ab/KEY.1.json``."""
    folder, _, _, name, *inner = found.name.split("/")
    return _Part(name.partition(".")[0], inner[0] if folder == "files" and inner else "", found)


def _key(part: _Part) -> str:
    return part.key
