"""The trainer's resume points: which are whole, which belong to this training, which is the newest of use."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from puretune.errors import EnvironmentFault, InputError
from puretune.store import write_text

_MARK = "puretune.json"


def mark_whole(checkpoint: Path, inputs: str) -> None:
    """Notes that a resume point is completely written, and whose it is."""
    write_text(checkpoint / _MARK, json.dumps({"inputs": inputs}) + "\n")


def newest(resume: Path, inputs: str, before: int) -> Path | None:
    """The newest whole resume point of a step under ``before``; half-written ones are removed.

    InputError where they are another training's.
    """
    whole = []
    for path in resume.glob("checkpoint-*"):
        step = int(path.name.rpartition("-")[2])
        owner = _owner(path)
        if owner is None:
            shutil.rmtree(path, ignore_errors=True)
        elif owner != inputs:
            raise InputError(
                f"{resume} holds an unfinished training with other rows, recipe, seed, base or options. "
                "Remove it, or choose another output directory."
            )
        elif step < before:
            whole.append((step, path))
    return max(whole)[1] if whole else None


@contextmanager
def disk_faults(place: Path) -> Iterator[None]:
    """Turns what the trainer's writers raise where a disk is full into an EnvironmentFault."""
    from safetensors import SafetensorError

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
        "command again: training goes on from its last resume point."
    )


def _owner(checkpoint: Path) -> str | None:
    try:
        return str(json.loads((checkpoint / _MARK).read_text("utf-8"))["inputs"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
