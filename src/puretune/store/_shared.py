"""A store in a bucket, shared by machines: objects lie in the run directory, and in the bucket too.

Under the bucket's prefix:

    objects/answers/ab/abcd....json               the manifest, written last and only where there is none
    files/answers/ab/abcd.../DIGEST/data.jsonl    its files, under that manifest's digest
    damaged/answers/ab/abcd....1.json             what was set aside; the one above is empty
    leases/PLAN.json                              who works on a plan

So nobody sees half an object, and of two that are published under one key the first wins. What a run
directory has and the bucket does not (made by a fork, or before there was a bucket) is uploaded when it is
asked for.
"""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import Self
from urllib.parse import quote

from puretune.errors import CheckFailed, EnvironmentFault
from puretune.store._bucket import Bucket, Found
from puretune.store._damage import Say, was_set_aside
from puretune.store._files import faults, make_directory, publish_directory, remove, temporary_name
from puretune.store._inventory import each
from puretune.store._objects import MANIFEST, Store, Stored, is_there, parsed_manifest, silent, verified
from puretune.store._shared_lease import SharedLease
from puretune.store._shared_listing import Listing, manifest_name
from puretune.visible import quoted, visible

_TRIES = 5
"""Times that an object is published anew while others publish and damage it."""


class SharedStore(Store):
    """Objects in a bucket, those that were needed here under ``root`` too."""

    def __init__(self, root: Path, bucket: Bucket, say: Say | None = silent) -> None:
        """Open the store; EnvironmentFault if ``root`` cannot be written."""
        super().__init__(root, say)
        self.bucket = bucket
        self._listings: dict[str, Listing] = {}
        self._process = os.getpid()

    def opener(self) -> Callable[[], Store]:
        """What opens the store in another process; on another machine it keeps what it needs there."""
        return partial(SharedStore, self.root.absolute(), self.bucket)

    def has(self, kind: str, key: str) -> bool:
        """Whether the object has been published (nothing is verified)."""
        if self._forked:
            return super().has(kind, key)
        if self._listing(kind).has(key):
            return True
        return super().has(kind, key) and (self._say is None or self.get(kind, key) is not None)

    def get(self, kind: str, key: str) -> Stored | None:
        """The object, verified, or None if it is missing or damaged; fetched where it is not here yet."""
        kept = super().get(kind, key)
        if self._forked:
            return kept
        if kept is None:
            return self._fetch(kind, key)
        if self._say is None or self._listing(kind).has(key):
            return kept
        return kept if self._upload(kept) else self._fetch(kind, key, replace=True)

    def is_damaged(self, kind: str, key: str) -> bool:
        """Whether the object is there but damaged, or was damaged and has not been made again since."""
        if self._forked:
            return super().is_damaged(kind, key)
        path = self.path(kind, key)
        if is_there(path) or self._listing(kind).has(key):
            return self.get(kind, key) is None
        return was_set_aside(path) or self._listing(kind).was_set_aside(key)

    def damaged(self, objects: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Which of these are or were damaged; those that are not here yet are fetched, many at a time."""
        asked = each(lambda one: self.is_damaged(*one), dict.fromkeys(objects))
        return [one for one, is_damaged in asked if is_damaged]

    @contextmanager
    def held(self, plan: str) -> Iterator[Self]:
        """The store, with a plan's key held by heartbeats while the block runs; EnvironmentFault, naming the
        holder, where another process works on it."""
        with SharedLease(self.bucket, plan) as self._lease:
            yield self

    def check(self) -> None:
        """EnvironmentFault if another process has taken over what :meth:`held` holds."""
        self._lease.check()

    @property
    def _forked(self) -> bool:
        """Whether this process is a fork of the one that opened the store: connections do not survive that.
        What a fork needs must be here; what it makes is uploaded by its parent."""
        return os.getpid() != self._process

    @cached_property
    def _home(self) -> Path:
        """Where fetched objects go; elsewhere for a store that is only read."""
        if self._say is not None:
            return self.root
        self._temporary = tempfile.TemporaryDirectory(prefix="puretune-store-")
        return Path(self._temporary.name)

    def _listing(self, kind: str) -> Listing:
        return self._listings.setdefault(kind, Listing(self.bucket, kind))

    def _publish(self, made: Stored) -> Stored:
        if self._forked:
            return super()._publish(made)
        for _ in range(_TRIES):
            if self._upload(made):
                return super()._publish(made)
            theirs = self._fetch(made.kind, made.key)
            if theirs is not None:
                return theirs
        raise EnvironmentFault(
            f"the store {self.bucket.url}: {made.kind} {made.key} is damaged whenever it is published. Check "
            "the store's disks, or use another PURETUNE_STORE."
        )

    def _upload(self, made: Stored) -> bool:
        """Publish an object in the bucket; False if another one has that key."""
        text = (made.path / MANIFEST).read_bytes()
        manifest = json.loads(text)
        files = {name: file_name(made.kind, made.key, manifest["sha256"], name) for name in manifest["files"]}
        with faults(made.path):
            for name, there in files.items():
                self.bucket.put(there, made.path / name)
        if not self._claim(manifest_name(made.kind, made.key), text):
            self.bucket.delete(list(files.values()))
            return False
        self._listing(made.kind).note(made.key, len(text))
        return True

    def _claim(self, name: str, text: bytes) -> bool:
        """Whether the manifest is there now, by our doing or by the same doing of another."""
        for _ in range(_TRIES):
            if self.bucket.put(name, text, new=True) is not None:
                return True
            found = self.bucket.get(name)
            if found is not None and found.size:
                return found.content == text
            if found is not None and self.bucket.put(name, text, over=found.version) is not None:
                return True
        return False

    def _fetch(self, kind: str, key: str, replace: bool = False) -> Stored | None:
        """The bucket's object, verified and published here; None if it has none, or it is damaged."""
        found = self.bucket.get(manifest_name(kind, key))
        if found is None or not found.size:
            self._listing(kind).note(key, None if found is None else 0)
            return None
        final = self._home / kind / key[:2] / key
        make_directory(final.parent)
        temporary = temporary_name(final)
        try:
            kept = self._downloaded(found, kind, key, temporary)
            publish_directory(temporary, final, replace)
        except CheckFailed as damage:
            if self._say is not None:
                set_aside_there(self.bucket, found, (kind, key), str(damage), self._say)
                self._listing(kind).note(key, 0)
            return None
        finally:
            remove(temporary)
        self._listing(kind).note(key, found.size)
        return dataclasses.replace(kept, path=final)

    def _downloaded(self, found: Found, kind: str, key: str, directory: Path) -> Stored:
        """The object in a new directory; CheckFailed if it is damaged."""
        manifest = parsed_manifest(found.content, kind, key)
        with faults(directory):
            directory.mkdir()
            (directory / MANIFEST).write_bytes(found.content)
        for name in manifest.files:
            path = directory / _inside(name)
            make_directory(path.parent)
            if not self.bucket.download(file_name(kind, key, manifest.digest, name), path):
                raise CheckFailed(f"{visible(name)} is missing")
        return verified(directory, kind, key)


def file_name(kind: str, key: str, digest: str, name: str) -> str:
    """Where a bucket has one of an object's files; ``digest`` is the manifest's."""
    return f"files/{kind}/{key[:2]}/{key}/{digest}/{quote(name)}"


def set_aside_there(bucket: Bucket, found: Found, ref: tuple[str, str], why: str, say: Say) -> None:
    """Keep a damaged object's manifest under another name, and empty it, so that it can be made again."""
    number = 1
    while bucket.put(aside := damaged_name(*ref, number), found.content, new=True) is None:
        number += 1
    if bucket.put(found.name, b"", over=found.version) is not None:
        say(f"{bucket.url}/{found.name} was damaged ({why}): set aside as {aside}, it is made again.")


def damaged_name(kind: str, key: str, number: int) -> str:
    """Where a bucket has the manifest of an object that was set aside."""
    return f"damaged/{kind}/{key[:2]}/{key}.{number}.json"


def _inside(name: str) -> str:
    """A file's name in a manifest; CheckFailed where it leads out of the object's directory."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
        raise CheckFailed(f"its {MANIFEST} lists {quoted(name)}, which is not inside it")
    return name
