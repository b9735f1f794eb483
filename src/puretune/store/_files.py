"""Atomic publication: a reader sees the old file, or the new one, never half of one."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from puretune.errors import EnvironmentFault, InputError
from puretune.visible import quoted, visible

_OURS = re.compile(r"\..*\.puretune-([0-9a-f]{6})-([0-9]+)-[0-9a-f]{8}\.tmp", re.DOTALL)
"""A temporary name that :func:`temporary_name` made: machine and process."""
_LONGEST = 40
"""Characters of the final name in a temporary one: a name of 255 bytes leaves no room for more."""


_IN_THE_WAY = {
    errno.EEXIST: "there is a file of that name, not a directory",
    errno.ENOTDIR: "a part of this path is a file, not a directory",
}


def write_text(path: Path, text: str) -> None:
    """Publish ``text`` (UTF-8) at ``path``; EnvironmentFault if that cannot be written.

    InputError for text that UTF-8 cannot say (half of a character pair).
    """
    write_bytes(path, encoded(text, path))


def encoded(text: str, path: Path) -> bytes:
    """``text`` as UTF-8; InputError, naming the file that it is for, where that cannot be."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        near = text[max(0, error.start - 20) : error.end + 20]
        raise InputError(
            f"{visible(path)}: half of a character pair cannot be written as UTF-8, near {quoted(near)}. "
            "Correct that name, path or text."
        ) from None


def write_bytes(path: Path, content: bytes) -> None:
    """Publish ``content`` at ``path``: a temporary file next to it, fsync, rename.

    InputError where ``path`` is a device or a pipe: a rename would take it away from everybody.
    """
    make_directory(path.parent)
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InputError(f"{visible(path)}: a device or a pipe. Name a file.")
    temporary = temporary_name(path)
    with faults(path):
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync(path.parent)


def publish_directory(temporary: Path, final: Path, replace: bool = True) -> None:
    """Move a finished directory to its final name after flushing its content to disk.

    A directory that is already there gives way or, with ``replace=False``, stays (``temporary`` is then
    removed). Both names must be on one file system.
    """
    make_directory(final.parent)
    with faults(final):
        for path in sorted(temporary.rglob("*")):
            _sync(path)
        _sync(temporary)
        if not _renamed(temporary, final):
            if replace:
                old = temporary_name(final)
                final.rename(old)
                temporary.rename(final)
                remove(old)
            else:
                remove(temporary)
        _sync(final.parent)


def make_directory(path: Path) -> Path:
    """The directory, made with its parents where missing; EnvironmentFault if it cannot be."""
    with faults(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def temporary_name(path: Path) -> Path:
    """A fresh name in the same directory that says who made it: see :func:`sweep`."""
    mark = f"puretune-{_host()}-{os.getpid()}-{secrets.token_hex(4)}"
    return path.with_name(f".{path.name[:_LONGEST]}.{mark}.tmp")


def sweep(directory: Path) -> None:
    """Remove what processes that were killed on this machine left half-written in a directory.

    Only names that :func:`temporary_name` made are touched.
    """
    for path in directory.glob(".*.tmp"):
        made = _OURS.fullmatch(path.name)
        if made and made[1] == _host() and not is_alive(int(made[2])):
            with suppress(OSError):
                remove(path)


def remove(path: Path) -> None:
    """Remove a file or a directory tree, without complaint."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def faults(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write at ``path`` into an EnvironmentFault."""
    try:
        yield
    except OSError as error:
        reason = _IN_THE_WAY.get(error.errno or 0) or error.strerror or str(error)
        raise EnvironmentFault(
            f"cannot write {visible(path)}: {reason}. Choose a directory you can write to, with space left."
        ) from error


def _renamed(temporary: Path, final: Path) -> bool:
    """Whether the rename went through; False if ``final`` is there already."""
    try:
        temporary.rename(final)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


def _sync(path: Path) -> None:
    """Flush a file's content, or a directory's names, to disk (a no-op where the system cannot)."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some network file systems refuse to sync a directory; the rename itself stands
    finally:
        os.close(descriptor)


def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]


def is_alive(pid: int) -> bool:
    """Whether this machine has a process of that number."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
