"""What was damaged on disk is set aside: renamed, never deleted, and said in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from puretune.store._files import faults, remove
from puretune.visible import visible

Say = Callable[[str], None]
"""Told what was set aside, and why."""

_PREFIX = "damaged-"


def set_aside(path: Path, why: str, say: Say) -> Path:
    """Rename a damaged file or directory to ``damaged-N.NAME`` next to it, and say so; returns where it is.

    EnvironmentFault if it cannot be renamed.
    """
    number = 1
    while _exists(free := path.with_name(f"{_PREFIX}{number}.{path.name}"[:255])):
        number += 1
    with faults(path):
        try:
            path.rename(free)
        except FileNotFoundError:
            return free  # another process was faster
    say(f"{visible(path)} was damaged ({why}): set aside as {visible(free.name)}, it is made again.")
    return free


def was_set_aside(path: Path) -> bool:
    """Whether something of that name was damaged and has been set aside."""
    return _exists(path.with_name(f"{_PREFIX}1.{path.name}"[:255]))


def remove_sound(directory: Path) -> None:
    """Remove a directory tree, without complaint, except for what was set aside in it."""
    if not directory.is_dir() or directory.is_symlink():
        return
    for path in directory.iterdir():
        if path.name.startswith(_PREFIX):
            continue
        if path.is_dir() and not path.is_symlink() and any(path.rglob(f"{_PREFIX}*")):
            remove_sound(path)
        else:
            remove(path)
    if not any(directory.iterdir()):
        directory.rmdir()


def _exists(path: Path) -> bool:
    return path.exists() or path.is_symlink()
