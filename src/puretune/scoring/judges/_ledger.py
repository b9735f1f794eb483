"""The ledger: every reply of a judge is kept as soon as it arrives, and is never paid for twice.

    ROOT/segments/3f2a1c-4711-9be0.jsonl   one per process, only ever appended to, a digest in every line
    ROOT/segments/3f2a1c-4711-9be0.lock    held by that process while it lives
    ROOT/index.sqlite                      where they lie, and who is asking for what; can be deleted

A killed process leaves at most one torn line, which is skipped; its claims end with its lock.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import socket
import sqlite3
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from puretune.errors import EnvironmentFault
from puretune.models import cache_directory
from puretune.scoring.judges._judgement import Judgement, from_line, to_line

if TYPE_CHECKING:
    from filelock import BaseFileLock

LEDGER_VARIABLE = "PURETUNE_LEDGER"
Claim = Literal["mine", "done", "elsewhere"]

_TABLES = """
CREATE TABLE IF NOT EXISTS judgements (ask TEXT, segment TEXT, start INTEGER, size INTEGER,
                                       PRIMARY KEY (segment, start)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_ask ON judgements (ask);
CREATE TABLE IF NOT EXISTS segments (name TEXT PRIMARY KEY, scanned INTEGER);
CREATE TABLE IF NOT EXISTS claims (ask TEXT PRIMARY KEY, owner TEXT);
"""
_FLUSH_EVERY = 0.5
"""Seconds."""
_AT_ONCE = 500
"""Keys per look-up: SQLite limits the variables of a statement."""


class Ledger:
    """All judgements of a user, shared by studies and processes."""

    def __init__(self, root: Path) -> None:
        """Open (and make) the ledger; EnvironmentFault where ``root`` cannot be written."""
        self.root = root
        self._segments = root / "segments"
        self._name = f"{_host()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._lock: BaseFileLock | None = None
        self._file: int | None = None
        self._flushed = 0.0
        self.damaged = 0
        """Lines whose digest did not hold; they count as not there."""
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
            rows = self._run(f"SELECT segment, start, size FROM judgements WHERE ask IN ({marks})", part)
            for judgement in self._read(rows):
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
            self._index.execute(
                "INSERT OR REPLACE INTO segments VALUES (?, ?)", (self._name, start + len(line))
            )
            self._index.execute("DELETE FROM claims WHERE ask = ?", (judgement.ask,))

    def refresh(self) -> None:
        """Take into the index what it does not know yet: a killed process's last lines, or everything."""
        scanned = dict(self._run("SELECT name, scanned FROM segments"))
        for path in sorted(self._segments.glob("*.jsonl")):
            known = scanned.get(path.stem, 0)
            if path.stem != self._name and path.stat().st_size > known:
                self._scan(path, known)

    def close(self) -> None:
        """End this process's claims and close the index."""
        if self._file is not None:
            with _faults(self._segments):
                os.fsync(self._file)
                os.close(self._file)
            self._file = None
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
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise EnvironmentFault(f"cannot open {path}: {error}. {_ELSEWHERE}") from error
                path.unlink(missing_ok=True)  # not a database any more; it is made again from the segments
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
        with _faults(path), path.open("rb") as file, self._transaction():
            file.seek(start)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # torn, or being written right now
                judgement = from_line(line)
                if judgement is None:
                    self.damaged += 1
                else:
                    self._note(judgement.ask, path.stem, start, len(line))
                start += len(line)
            self._index.execute("INSERT OR REPLACE INTO segments VALUES (?, ?)", (path.stem, start))

    def _note(self, ask: str, segment: str, start: int, size: int) -> None:
        self._index.execute(
            "INSERT OR REPLACE INTO judgements VALUES (?, ?, ?, ?)", (ask, segment, start, size)
        )

    def _kept(self, ask: str) -> list[Judgement]:
        rows = self._run("SELECT segment, start, size FROM judgements WHERE ask = ?", (ask,))
        return list(self._read(rows))

    def _read(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[Judgement]:
        for segment, start, size in rows:
            try:
                with (self._segments / f"{segment}.jsonl").open("rb") as file:
                    file.seek(start)
                    judgement = from_line(file.read(size))
            except OSError:
                judgement = None
            if judgement is None:
                self.damaged += 1
                self._run("DELETE FROM judgements WHERE segment = ? AND start = ?", (segment, start))
            else:
                yield judgement

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
            raise EnvironmentFault(
                f"the ledger's index {self.root / 'index.sqlite'}: {error}. Delete that file and run again: "
                "it is made anew, and no judgement is lost."
            ) from error


def ledger_path() -> Path:
    """Where the user's ledger lies."""
    elsewhere = os.environ.get(LEDGER_VARIABLE)
    return Path(elsewhere).expanduser() if elsewhere else cache_directory() / "ledger"


_ELSEWHERE = f"Name another place with {LEDGER_VARIABLE}."


def _connect(path: Path) -> sqlite3.Connection:
    index = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
    try:
        index.execute(
            "PRAGMA synchronous = OFF"
        )  # what is lost in a power cut is found again in the segments
        index.executescript(_TABLES)
        index.execute("SELECT count(*) FROM claims").fetchall()
    except BaseException:
        index.close()
        raise
    return index


@contextlib.contextmanager
def _faults(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise EnvironmentFault(f"cannot write the ledger {path}: {reason}. {_ELSEWHERE}") from error


def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]
