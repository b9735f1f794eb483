"""A lease on a run directory: one process at a time, freed by the operating system when its holder dies."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from puretune.errors import EnvironmentFault, InputError
from puretune.files import read_mapping
from puretune.store._files import faults, is_alive, make_directory, sweep, write_text
from puretune.visible import visible

_GRACE = 10.0
"""Seconds that a forked child of a killed holder has to end; the lock is its too."""


@dataclass(frozen=True)
class Lease:
    """A directory that is held."""

    directory: Path
    _inode: tuple[int, int]

    def check(self) -> None:
        """EnvironmentFault if the directory has been removed, moved or replaced since it was taken."""
        if _inode(self.directory) != self._inode:
            raise EnvironmentFault(
                f"{visible(self.directory)} was moved or removed during the run. Put it back and run the "
                "same command again: it resumes from what the directory holds."
            )


@contextmanager
def lease(directory: Path) -> Iterator[Lease]:
    """Hold ``directory`` while the block runs.

    Raises EnvironmentFault at once, naming the holder, where another process has it. What killed processes
    of puretune left half-written in it is removed.
    """
    from filelock import FileLock, Timeout

    make_directory(directory)
    lock = FileLock(directory / ".lock", timeout=0)
    with faults(directory / ".lock"):
        try:
            lock.acquire(timeout=_GRACE if _holder_died(directory) else 0)
        except Timeout:
            raise EnvironmentFault(_busy(directory)) from None
        inode = _inode(directory)
        assert inode is not None
    try:
        sweep(directory)
        write_text(_holder(directory), json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        yield Lease(directory, inode)
    finally:
        with suppress(OSError):
            _holder(directory).unlink(missing_ok=True)
        lock.release()


def _inode(directory: Path) -> tuple[int, int] | None:
    try:
        found = directory.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _holder(directory: Path) -> Path:
    return directory / ".lock-holder.json"


def _noted(directory: Path) -> dict[str, Any]:
    """Who noted down that the directory is theirs; empty if nobody did."""
    try:
        return read_mapping(_holder(directory))
    except (InputError, EnvironmentFault):
        return {}


def _holder_died(directory: Path) -> bool:
    noted = _noted(directory)
    pid = noted.get("pid")
    return noted.get("host") == socket.gethostname() and isinstance(pid, int) and not is_alive(pid)


def _busy(directory: Path) -> str:
    noted = _noted(directory)
    who = f"process {noted['pid']} on {noted['host']}" if {"pid", "host"} <= set(noted) else "another process"
    return (
        f"{visible(directory)} is in use by {who}. Wait until it is done, stop it, or choose another --out "
        "directory."
    )
