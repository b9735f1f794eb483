"""What a store holds, object by object, without having all of it in memory: for listing, verifying, cleaning.

``DirectoryInventory`` looks at a store on a file system, ``BucketInventory`` (in its own file) at one in a
bucket.
"""

from __future__ import annotations

import os
import re
import stat
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from puretune.errors import CheckFailed, EnvironmentFault
from puretune.store._damage import Say, set_aside
from puretune.store._files import faults, remove
from puretune.store._objects import MANIFEST, manifest_in, verified
from puretune.visible import visible

_T = TypeVar("_T")
_R = TypeVar("_R")

State = Literal["published", "damaged", "unfinished"]
"""``damaged``: set aside. ``unfinished``: what a killed process left, which nobody reads."""

_THREADS = 16
_DAY = 24 * 3600.0


@dataclass(frozen=True)
class Item:
    """An object, or what is left of one."""

    kind: str
    key: str
    state: State
    bytes: int
    modified: datetime
    places: tuple[str, ...]
    """Paths, or names in the bucket: all that goes where it is removed."""


class Inventory(Protocol):
    """A store as somebody sees it who wants to know what is in it, or to clean it."""

    @property
    def where(self) -> str: ...

    def items(self) -> Iterator[Item]:
        """All there is, kind by kind, in the order of keys."""
        ...

    def now(self) -> datetime:
        """The time by the clock that the items' times are of."""
        ...

    def about(self, item: Item) -> dict[str, Any]:
        """What the maker of a published object noted; CheckFailed if its manifest is damaged."""
        ...

    def verify(self, item: Item) -> None:
        """CheckFailed, saying why, if a published object is damaged."""
        ...

    def set_aside(self, item: Item, why: str, say: Say) -> None:
        """Set a damaged object aside, so that it is made again."""
        ...

    def remove(self, item: Item) -> None:
        """Remove an item, for good."""
        ...


class DirectoryInventory:
    """A store on a file system."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.where = str(root)

    def items(self) -> Iterator[Item]:
        """All there is, kind by kind, in the order of keys. What is no object's is passed over."""
        for kind in _folders(self._root):
            for part in _folders(kind):
                for path in _inside(part):
                    if (item := _item(kind.name, part.name, path)) is not None:
                        yield item

    def now(self) -> datetime:
        """The time on this machine."""
        return datetime.now(UTC)

    def about(self, item: Item) -> dict[str, Any]:
        """What its maker noted."""
        return manifest_in(Path(item.places[0]), item.kind, item.key).about

    def verify(self, item: Item) -> None:
        """CheckFailed if it is damaged."""
        verified(Path(item.places[0]), item.kind, item.key)

    def set_aside(self, item: Item, why: str, say: Say) -> None:
        """Rename it."""
        set_aside(Path(item.places[0]), why, say)

    def remove(self, item: Item) -> None:
        """Remove it: its manifest first, so that nobody sees half of it."""
        path = Path(item.places[0])
        with faults(path):
            if path.is_dir() and not path.is_symlink():
                (path / MANIFEST).unlink(missing_ok=True)
            remove(path)


def unneeded(
    inventory: Inventory,
    needed: Collection[str] | None,
    kinds: Collection[str],
    damaged: bool = False,
    older: float = _DAY,
) -> Iterator[Item]:
    """What can go: published objects of these kinds whose keys are not needed (None: all are), leftovers of
    killed processes and, with ``damaged``, what was set aside; nothing that is younger than ``older``
    seconds, since a run may be at work."""
    now = inventory.now()
    for item in inventory.items():
        if (now - item.modified).total_seconds() < older:
            continue
        published = needed is not None and item.kind in kinds and item.key not in needed
        if {"published": published, "unfinished": True, "damaged": damaged}[item.state]:
            yield item


def each(function: Callable[[_T], _R], items: Iterable[_T]) -> Iterator[tuple[_T, _R | CheckFailed]]:
    """What a function gives for each item, or the damage it found, in order; some are worked on ahead."""

    def call(item: _T) -> _R | CheckFailed:
        try:
            return function(item)
        except CheckFailed as damage:
            return damage

    with ThreadPoolExecutor(_THREADS) as threads:
        ahead: deque[tuple[_T, Future[_R | CheckFailed]]] = deque()
        for item in items:
            ahead.append((item, threads.submit(call, item)))
            if len(ahead) > 2 * _THREADS:
                first, future = ahead.popleft()
                yield first, future.result()
        for first, future in ahead:
            yield first, future.result()


def _folders(path: Path) -> list[Path]:
    return [one for one in _inside(path) if one.is_dir() and not one.name.startswith(".")]


def _inside(path: Path) -> list[Path]:
    """What is in a directory, sorted; EnvironmentFault if this user may not see it."""
    try:
        return sorted(path.iterdir())
    except PermissionError:
        raise EnvironmentFault(
            f"{visible(path)}: this user may not read it. Check its permissions."
        ) from None
    except FileNotFoundError:
        return []


_STATES: dict[re.Pattern[str], State] = {
    re.compile(r"([0-9a-f]{64})"): "published",
    re.compile(r"damaged-[0-9]+\.([0-9a-f]{64})"): "damaged",
    re.compile(r"\.([0-9a-f]{40})\..*\.tmp"): "unfinished",
}


def _item(kind: str, part: str, path: Path) -> Item | None:
    """What a path in ``kind/part`` is; None if it is nothing of a store's, or has just been removed."""
    for pattern, state in _STATES.items():
        named = pattern.fullmatch(path.name)
        if named and named[1][:2] == part:
            with suppress(FileNotFoundError):
                sizes, times = zip(*_sizes(path), strict=True)
                time = datetime.fromtimestamp(max(times), UTC)
                return Item(kind, named[1], state, sum(sizes), time, (str(path),))
    return None


def _sizes(path: Path) -> Iterator[tuple[int, float]]:
    """Bytes and time of a path and of all inside it; links are not followed."""
    whole = not path.is_symlink() and path.is_dir()
    inside = [Path(folder, name) for folder, _, names in os.walk(path) for name in names] if whole else []
    for facts in (one.lstat() for one in (path, *inside)):
        yield facts.st_size if stat.S_ISREG(facts.st_mode) else 0, facts.st_mtime
