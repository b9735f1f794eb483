"""Which objects of one kind a bucket has, asked page by page, not one by one."""

from __future__ import annotations

import time
from threading import Lock

from puretune.store._bucket import Bucket, Found

_FRESH = 10.0
"""Seconds for which a listing is taken as complete, or twice as long as it took to read."""
_QUESTIONS = 100
"""Single keys that are asked for before everything is listed again."""


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

    def note(self, key: str, published: bool = True) -> None:
        """The object has just been published, or set aside."""
        with self._lock:
            self._note(key, published)

    def _note(self, key: str, published: bool) -> None:
        here, there = (self._keys, self._aside) if published else (self._aside, self._keys)
        here.add(key)
        there.discard(key)

    def _ask(self, key: str) -> None:
        if self._questions < _QUESTIONS:
            self._questions += 1
            found = self._bucket.head(manifest_name(self._kind, key))
            if found is not None:
                self._note(key, found.size > 0)
            return
        started = time.monotonic()
        for found in self._bucket.list(f"objects/{self._kind}"):
            self._note(_key(found), found.size > 0)
        ended = time.monotonic()
        self._until, self._questions = ended + max(_FRESH, 2 * (ended - started)), 0


def _key(found: Found) -> str:
    return found.name.rpartition("/")[2].removesuffix(".json")
