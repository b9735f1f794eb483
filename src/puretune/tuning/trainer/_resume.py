"""The trainer's resume points: which are whole, which belong to this training, which is the newest of use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from puretune.errors import EnvironmentFault, InputError
from puretune.events import EventSink, Warned
from puretune.files import read_mapping
from puretune.store import json_text, remove_sound, set_aside, sha256_file, write_text

_MARK = "puretune.json"
_CHECKPOINT = re.compile("checkpoint-([0-9]+)")


def mark_whole(checkpoint: Path, inputs: str) -> None:
    """Notes that a resume point is completely written, whose it is, and the digest of every file in it."""
    files = {path.relative_to(checkpoint).as_posix(): sha256_file(path) for path in _files(checkpoint)}
    write_text(checkpoint / _MARK, json_text({"inputs": inputs, "files": files}) + "\n")


def newest(resume: Path, inputs: str, before: int, on_event: EventSink) -> Path | None:
    """The newest sound resume point of a step under ``before``; half-written ones are removed.

    Those that were damaged are set aside. InputError if they are another training's.
    """
    steps = {int(found[1]): path for path in resume.glob("*") if (found := _CHECKPOINT.fullmatch(path.name))}
    for step, path in sorted(steps.items(), reverse=True):
        if not (path / _MARK).exists():
            remove_sound(path)
            continue
        owner = _owner(path)
        if owner is None:
            set_aside(path, "its files are not what was written", lambda text: on_event(Warned(text)))
        elif owner != inputs:
            raise InputError(
                f"{resume} holds an unfinished training with other rows, recipe, seed, base or options. "
                "Remove it, or choose another output directory."
            )
        elif step < before:
            return path
    return None


@contextmanager
def disk_faults(place: Path) -> Iterator[None]:
    """Turns what the trainer's writers raise where a disk is full into an EnvironmentFault."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise _unwritable(place, error) from error
    except RuntimeError as error:
        if "PytorchStreamWriter" not in str(error) and "file write failed" not in str(error):
            raise
        raise _unwritable(place, error) from error


def _unwritable(place: Path, error: Exception) -> EnvironmentFault:
    reason = getattr(error, "strerror", None) or str(error).strip().partition("\n")[0]
    return EnvironmentFault(
        f"cannot write the training's state into {place}: {reason}. Free some space, then run the same "
        "command again: training resumes from its last resume point."
    )


def _owner(checkpoint: Path) -> str | None:
    """Whose a resume point is; None if any file of it is not what was written."""
    try:
        mark = read_mapping(checkpoint / _MARK)
        files = {path.relative_to(checkpoint).as_posix(): sha256_file(path) for path in _files(checkpoint)}
    except (InputError, OSError):
        return None
    return str(mark.get("inputs")) if mark.get("files") == files else None


def _files(checkpoint: Path) -> list[Path]:
    return [path for path in sorted(checkpoint.rglob("*")) if path.is_file() and path.name != _MARK]
