"""Atomic publication: a reader sees the old file, or the new one, never half of one."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from puretune.errors import EnvironmentFault

TEMPORARY = ".tmp"
"""How the name of a temporary file or directory ends; it begins with a dot."""

_LINE_ENDS = {ord(char): f"\\u{ord(char):04x}" for char in "\x85\u2028\u2029"}


def write_text(path: Path, text: str) -> None:
    """Publish ``text`` (UTF-8) at ``path``; EnvironmentFault where that cannot be written."""
    write_bytes(path, text.encode("utf-8"))


def json_lines(rows: Iterable[Mapping[str, Any]]) -> str:
    """JSON lines, one object a line. What some readers take for a line's end (U+2028) is escaped as well."""
    lines = [json.dumps(row, ensure_ascii=False, allow_nan=False).translate(_LINE_ENDS) for row in rows]
    return "".join(line + "\n" for line in lines)


def write_bytes(path: Path, content: bytes) -> None:
    """Publish ``content`` at ``path``: a temporary file beside it, fsync, rename."""
    make_directory(path.parent)
    temporary = beside(path)
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
                old = beside(final)
                final.rename(old)
                temporary.rename(final)
                remove(old)
            else:
                remove(temporary)
        _sync(final.parent)


def make_directory(path: Path) -> Path:
    """The directory, made with its parents where missing; EnvironmentFault where it cannot be."""
    with faults(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def beside(path: Path) -> Path:
    """A fresh temporary name in the same directory; it tells whose it is (see :func:`orphaned`)."""
    return path.with_name(f".{path.name}.{_host()}-{os.getpid()}-{secrets.token_hex(4)}{TEMPORARY}")


def orphaned(temporary: Path) -> bool:
    """Whether a temporary name was made on this machine by a process that is gone."""
    host, _, rest = temporary.name.removesuffix(TEMPORARY).rpartition(".")[2].partition("-")
    pid = rest.partition("-")[0]
    return host == _host() and pid.isdigit() and not _alive(int(pid))


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
        reason = error.strerror or str(error)
        raise EnvironmentFault(
            f"cannot write {path}: {reason}. Choose a directory you can write to, with space left."
        ) from error


def _renamed(temporary: Path, final: Path) -> bool:
    """Whether the rename went through; False where ``final`` is there already."""
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


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
