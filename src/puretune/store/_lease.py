"""A lease on a run directory: one process at a time, freed by the operating system when its holder dies."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from puretune.errors import EnvironmentFault
from puretune.store._files import TEMPORARY, faults, make_directory, remove, write_text


@contextmanager
def lease(directory: Path) -> Iterator[None]:
    """Hold ``directory`` while the block runs.

    Raises EnvironmentFault at once, naming the holder, where another process has it. Left-over
    temporary files in it belong to nobody by then and are removed.
    """
    from filelock import FileLock, Timeout

    make_directory(directory)
    lock = FileLock(directory / ".lock", timeout=0)
    with faults(directory / ".lock"):
        try:
            lock.acquire()
        except Timeout:
            raise EnvironmentFault(_busy(directory)) from None
    try:
        for left in directory.glob(f".*{TEMPORARY}"):
            remove(left)
        write_text(_holder(directory), json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        yield
    finally:
        _holder(directory).unlink(missing_ok=True)
        lock.release()


def _holder(directory: Path) -> Path:
    return directory / ".lock-holder.json"


def _busy(directory: Path) -> str:
    try:
        holder = json.loads(_holder(directory).read_text())
        who = f"process {holder['pid']} on {holder['host']}"
    except (OSError, ValueError, KeyError):
        who = "another process"
    return (
        f"{directory} is in use by {who}. Wait until it is done, stop it, or choose another --out directory."
    )
