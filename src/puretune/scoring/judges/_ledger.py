"""The ledger: every reply of a judge is kept as soon as it arrives, and is never paid for twice.

    ROOT/segments/3f2a1c-4711-9be0.jsonl   one per process, only ever appended to, a digest in every line
    ROOT/segments/3f2a1c-4711-9be0.lock    held by that process while it lives
    ROOT/index.sqlite                      where they lie, and who is asking for what; can be deleted

A killed process leaves at most one torn line, which is skipped; its claims end with its lock. A segment that
somebody edited is read again from its start: what has a valid digest counts wherever in it the line is.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import socket
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from puretune.errors import EnvironmentFault
from puretune.files import checked_path, regular
from puretune.models import cache_directory
from puretune.scoring.judges._judgement import Judgement, from_line, to_line
from puretune.visible import visible

if TYPE_CHECKING:
    from filelock import BaseFileLock

LEDGER_VARIABLE = "PURETUNE_LEDGER"
Claim = Literal["mine", "done", "elsewhere"]

_TABLES = """
CREATE TABLE IF NOT EXISTS judgements (ask TEXT, segment TEXT, start INTEGER, size INTEGER,
                                       PRIMARY KEY (segment, start)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_ask ON judgements (ask);
CREATE TABLE IF NOT EXISTS segments (name TEXT PRIMARY KEY, scanned INTEGER, changed INTEGER);
CREATE TABLE IF NOT EXISTS claims (ask TEXT PRIMARY KEY, owner TEXT);
"""
_FLUSH_EVERY = 0.5
"""Seconds."""
_AT_ONCE = 500
"""Keys per look-up: SQLite limits the variables of a statement."""
_LAYOUT = 2
"""Of the index: one with another layout is rebuilt."""
_LONGEST_LINE = 8 * 2**20
"""Bytes of a judgement: a longer line is damaged."""


class Ledger:
    """All judgements of a user, shared by studies and processes."""

    def __init__(self, root: Path) -> None:
        """Open (and make) the ledger; EnvironmentFault if ``root`` cannot be written."""
        self.root = root
        self._segments = root / "segments"
        self._name = f"{_host()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._lock: BaseFileLock | None = None
        self._file: int | None = None
        self._flushed = 0.0
        self.damaged: list[str] = []
        """Where lines are whose digest did not hold; they count as not there."""
        with _faults(root):
            self._segments.mkdir(parents=True, exist_ok=True)
        self._index = self._opened()
        self.refresh()

    @classmethod
    def default(cls) -> Ledger:
        """The user's ledger: ``PURETUNE_LEDGER``, or ``ledger`` in the cache directory."""
        return cls(ledger_path())

    def find(self, asks: Iterable[str]) -> dict[str, list[Judgement]]:
        """What is known, oldest first, by request. Digests are checked."""
        wanted = list(dict.fromkeys(asks))
        found: dict[str, list[Judgement]] = {}
        for first in range(0, len(wanted), _AT_ONCE):
            part = wanted[first : first + _AT_ONCE]
            marks = ",".join("?" * len(part))
            for judgement in self._look_up(f"ask IN ({marks})", part):
                found.setdefault(judgement.ask, []).append(judgement)
        return {ask: sorted(kept, key=lambda one: one.when) for ask, kept in found.items()}

    def claim(self, ask: str, known: Iterable[str] = ()) -> Claim:
        """Whether to ask now: ``mine``; or somebody is asking (``elsewhere``); or somebody has just asked.

        ``known`` are ids of judgements that do not count. A claim ends with :meth:`put`, :meth:`release`, or
        the process that made it.
        """
        self._hold()
        with self._transaction():
            (owner,) = self._one("SELECT owner FROM claims WHERE ask = ?", ask) or (None,)
            if owner not in (None, self._name) and self._alive(owner):
                return "elsewhere"
            if owner not in (None, self._name):
                self.refresh()
            if any(one.id not in known for one in self._kept(ask)):
                return "done"
            self._index.execute("INSERT OR REPLACE INTO claims VALUES (?, ?)", (ask, self._name))
        return "mine"

    def release(self, ask: str) -> None:
        """Give a claim back."""
        self._run("DELETE FROM claims WHERE ask = ? AND owner = ?", (ask, self._name))

    def put(self, judgement: Judgement) -> None:
        """Keep a judgement: in its file before this returns (on disk soon after), then in the index."""
        self._hold()
        line = to_line(judgement)
        path = self._segments / f"{self._name}.jsonl"
        with _faults(path):
            start = self._append(path, line)
        with self._transaction():
            self._note(judgement.ask, self._name, start, len(line))
            self._scanned(self._name, start + len(line), None)
            self._index.execute("DELETE FROM claims WHERE ask = ?", (judgement.ask,))

    def refresh(self) -> None:
        """Take into the index what it does not know yet: a killed process's last lines, an edited segment."""
        known = {name: (size, changed) for name, size, changed in self._run("SELECT * FROM segments")}
        for path in sorted(self._segments.glob("*.jsonl")):
            if path.stem == self._name:
                continue
            with _faults(path):
                stat = path.stat()
            size, changed = known.get(path.stem, (0, None))
            if stat.st_size > size:
                self._scan(path, size if self._has_grown(path, size) else 0)
            elif (stat.st_size, stat.st_mtime_ns) != (size, changed):
                self._scan(path, 0)

    def _has_grown(self, path: Path, size: int) -> bool:
        """Whether a segment is what was scanned and more: its last line has not moved."""
        last = self._one("SELECT ask, max(start), size FROM judgements WHERE segment = ?", path.stem)
        if size == 0 or last is None or last[0] is None:
            return size == 0
        return last[1] + last[2] <= size and self._line(path.stem, last[1], last[2], last[0]) is not None

    def close(self) -> None:
        """End this process's claims and close the index."""
        if self._file is not None:
            with _faults(self._segments):
                os.fsync(self._file)
                stat = os.fstat(self._file)
                os.close(self._file)
            self._file = None
            self._scanned(self._name, stat.st_size, stat.st_mtime_ns)
        if self._lock is not None:
            self._run("DELETE FROM claims WHERE owner = ?", (self._name,))
            self._lock.release()
            (self._segments / f"{self._name}.lock").unlink(missing_ok=True)
            self._lock = None
        self._index.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _opened(self) -> sqlite3.Connection:
        path = self.root / "index.sqlite"
        with _faults(path):
            try:
                return _connect(path)
            except sqlite3.OperationalError as error:
                raise EnvironmentFault(
                    f"cannot open the ledger's index {visible(path)}: {error}. Remove it (it is rebuilt, "
                    "and no judgement is lost), and check the directory's permissions and free space."
                ) from error
            except sqlite3.DatabaseError:
                _remove(path)  # not a database any more; it is made again from the segments
                return _connect(path)

    def _hold(self) -> None:
        """The lock that says this process lives; taken with the first claim."""
        if self._lock is None:
            from filelock import FileLock

            self._lock = FileLock(self._segments / f"{self._name}.lock", timeout=0)
            with _faults(self._segments):
                self._lock.acquire()

    def _alive(self, owner: str) -> bool:
        from filelock import FileLock, Timeout

        path = self._segments / f"{owner}.lock"
        if not path.exists():
            return False
        lock = FileLock(path, timeout=0)
        try:
            with lock:
                path.unlink(missing_ok=True)
            return False
        except Timeout:
            return True

    def _append(self, path: Path, line: bytes) -> int:
        """Append a line; returns where it begins. A kill loses nothing that was written. Flushing to disk is
        for power cuts, and too slow to do for every line."""
        if self._file is None:
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        start = os.lseek(self._file, 0, os.SEEK_END)
        left = memoryview(line)
        while left:
            left = left[os.write(self._file, left) :]
        if time.monotonic() - self._flushed > _FLUSH_EVERY:
            os.fsync(self._file)
            self._flushed = time.monotonic()
        return start

    def _scan(self, path: Path, start: int) -> None:
        """Read a segment from ``start`` on; from 0, what the index knew of it is forgotten."""
        if not path.is_file():
            self.damaged.append(f"{visible(path)} (not a file)")
            return
        with _faults(path), path.open("rb") as file, self._transaction():
            changed = os.fstat(file.fileno()).st_mtime_ns
            if start == 0:
                self._index.execute("DELETE FROM judgements WHERE segment = ?", (path.stem,))
            file.seek(start)
            for line in _lines(file):
                judgement = from_line(line)
                if judgement is None:
                    self.damaged.append(f"{visible(path)}, byte {start:,}")
                else:
                    self._note(judgement.ask, path.stem, start, len(line))
                start += len(line)
            self._scanned(path.stem, start, changed)

    def _scanned(self, segment: str, size: int, changed: int | None) -> None:
        self._run("INSERT OR REPLACE INTO segments VALUES (?, ?, ?)", (segment, size, changed))

    def _note(self, ask: str, segment: str, start: int, size: int) -> None:
        self._index.execute(
            "INSERT OR REPLACE INTO judgements VALUES (?, ?, ?, ?)", (ask, segment, start, size)
        )

    def _kept(self, ask: str) -> list[Judgement]:
        return self._look_up("ask = ?", [ask])

    def _look_up(self, which: str, values: Sequence[str]) -> list[Judgement]:
        """The judgements of some requests; a segment whose lines are not where they were is read again."""
        found, moved = self._read(which, values)
        if moved:
            for segment in moved:
                self._read_again(segment)
            found, _ = self._read(which, values)
        return found

    def _read(self, which: str, values: Sequence[str]) -> tuple[list[Judgement], set[str]]:
        found, moved = [], set()
        statement = f"SELECT ask, segment, start, size FROM judgements WHERE {which}"
        for ask, segment, start, size in self._run(statement, values):
            judgement = self._line(segment, start, size, ask)
            if judgement is None:
                moved.add(segment)
            else:
                found.append(judgement)
        return found, moved

    def _read_again(self, segment: str) -> None:
        path = self._segments / f"{segment}.jsonl"
        if path.is_file():
            self._scan(path, 0)
        else:
            self._run("DELETE FROM judgements WHERE segment = ?", (segment,))
            self._run("DELETE FROM segments WHERE name = ?", (segment,))

    def _line(self, segment: str, start: int, size: int, ask: str) -> Judgement | None:
        """The judgement at a place, if it is still the one that the index knows."""
        try:
            with regular(self._segments / f"{segment}.jsonl").open("rb") as file:
                file.seek(start)
                judgement = from_line(file.read(size))
        except OSError:
            return None
        return judgement if judgement is not None and judgement.ask == ask else None

    def _run(self, statement: str, values: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        with self._told():
            return self._index.execute(statement, tuple(values)).fetchall()

    def _one(self, statement: str, *values: Any) -> tuple[Any, ...] | None:
        return next(iter(self._run(statement, values)), None)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """Everything or nothing, and nobody between; inside another transaction a part of it."""
        if self._index.in_transaction:
            yield
            return
        with self._told():
            self._index.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._index.rollback()
                raise
            self._index.commit()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            index = visible(self.root / "index.sqlite")
            raise EnvironmentFault(
                f"the ledger's index {index}: {error}. Delete that file and run again: it is rebuilt, "
                "and no judgement is lost."
            ) from error


def ledger_path() -> Path:
    """Where the user's ledger lies."""
    elsewhere = os.environ.get(LEDGER_VARIABLE)
    return checked_path(elsewhere, LEDGER_VARIABLE) if elsewhere else cache_directory() / "ledger"


_ELSEWHERE = f"Name another place with {LEDGER_VARIABLE}."


def _connect(path: Path) -> sqlite3.Connection:
    index = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
    try:
        index.execute(
            "PRAGMA synchronous = OFF"
        )  # what is lost in a power cut is found again in the segments
        index.execute("BEGIN IMMEDIATE")  # another process may be making it just now
        _check_index(index)
        for statement in _TABLES.split(";"):
            index.execute(statement)
        index.execute(f"PRAGMA user_version = {_LAYOUT}")
        index.commit()
    except BaseException:
        index.close()
        raise
    return index


def _check_index(index: sqlite3.Connection) -> None:
    """DatabaseError for an index that is damaged, or of another version."""
    (layout,) = index.execute("PRAGMA user_version").fetchone()
    (sound,) = index.execute("PRAGMA quick_check(1)").fetchone()
    if sound != "ok" or (layout != _LAYOUT and index.execute("SELECT * FROM sqlite_master").fetchall()):
        raise sqlite3.DatabaseError("the index is damaged, or of another version")


def _remove(index: Path) -> None:
    for path in (index, *index.parent.glob(f"{index.name}-*")):  # its journal with it
        path.unlink(missing_ok=True)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Whole lines, none of one without an end: it is torn, or being written right now.

    A line that is too long to be a judgement comes in parts, none of which is one.
    """
    while line := file.readline(_LONGEST_LINE):
        if not line.endswith(b"\n") and len(line) < _LONGEST_LINE:
            return
        yield line


@contextlib.contextmanager
def _faults(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise EnvironmentFault(f"cannot write the ledger {visible(path)}: {reason}. {_ELSEWHERE}") from error


def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]
