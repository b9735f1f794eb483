"""Which objects of one kind a bucket has, asked page by page, not one by one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

from puretune.store._bucket import Bucket, Found

_FRESH = 10.0
"""Seconds for which a listing is taken as complete, or twice as long as it took to read."""
_QUESTIONS = 100
"""Single keys that are asked for before everything is listed again."""
_IN_TURN, _THREADS = 4000, 16
"""Names that are listed page after page before the rest is listed by so many threads."""


def manifest_name(kind: str, key: str) -> str:
    """Where a bucket has an object's manifest. It is empty where the object was set aside."""
    return f"objects/{kind}/{key[:2]}/{key}.json"


class Listing:
    """The keys of one kind. What is listed stays true; what is not is asked for again, cheaply."""

    def __init__(self, bucket: Bucket, kind: str) -> None:
        self._bucket, self._kind = bucket, kind
        self._keys: set[str] = set()
        self._aside: set[str] = set()
        self._until, self._questions = 0.0, _QUESTIONS
        self._lock = Lock()

    def has(self, key: str) -> bool:
        """Whether the bucket has the object."""
        with self._lock:
            if key not in self._keys and time.monotonic() > self._until:
                self._ask(key)
            return key in self._keys

    def was_set_aside(self, key: str) -> bool:
        """Whether the object was damaged and has not been made again."""
        return not self.has(key) and key in self._aside

    def note(self, key: str, size: int | None) -> None:
        """How many bytes the key's manifest has now: 0 if it was set aside, None if there is none."""
        with self._lock:
            self._note(key, size)

    def _note(self, key: str, size: int | None) -> None:
        for keys, holds in ((self._keys, bool(size)), (self._aside, size == 0)):
            (keys.add if holds else keys.discard)(key)

    def _ask(self, key: str) -> None:
        if self._questions < _QUESTIONS:
            self._questions += 1
            found = self._bucket.head(manifest_name(self._kind, key))
            return self._note(key, None if found is None else found.size)
        started = time.monotonic()
        for found in self._all():
            self._note(_key(found), found.size)
        ended = time.monotonic()
        self._until, self._questions = ended + max(_FRESH, 2 * (ended - started)), 0
        return None

    def _all(self) -> Iterator[Found]:
        """Everything of the kind: the first pages in turn, and where there are more, the rest in parallel,
        since a store answers a page as slowly whether it is asked for one or for sixteen."""
        folder = f"objects/{self._kind}"
        for number, found in enumerate(self._bucket.list(folder), 1):
            yield found
            if number == _IN_TURN:
                break
        else:
            return
        left = [part for part in self._bucket.folders(folder) if part >= _key(found)[:2]]
        with ThreadPoolExecutor(_THREADS) as threads:
            for listed in threads.map(lambda part: list(self._bucket.list(f"{folder}/{part}")), left):
                yield from listed


def _key(found: Found) -> str:
    return found.name.rpartition("/")[2].removesuffix(".json")
