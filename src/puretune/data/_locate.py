"""Which of a directory's files hold a split: ``gsm8k_train.jsonl``, ``main/train-00000-of-00002.parquet``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from puretune.data._files import SUFFIXES
from puretune.errors import InputError


def files_of(
    path: Path, name: str, split: str | None, config: str | None, splits: Iterable[str]
) -> list[Path]:
    """The files under ``path`` with the ``split`` of the source ``name``, in order.

    A file is itself, unless its name speaks of another of ``splits``. In a directory (or its sub-directory
    ``config`` or ``data``), files that carry the source's name go before others, and of these the ones that
    carry the split's. InputError where that leaves none, or files of different kinds.
    """
    if not path.is_dir():
        _check_not_another(path, split, splits)
        return [path]
    found = _candidates(path, config)
    found = [p for p in found if name.lower() in p.stem.lower()] or found
    if split is not None:
        found = _with_split(found, split, set(splits))
    stems = {_family(p) for p in found}
    if len(stems) != 1:
        raise InputError(
            f"{path}: {_counted(found)} could hold {f'split {split}' if split else 'the data'} of {name}. "
            f"Say which split, name a file, or call it {split or name}.jsonl."
        )
    return found


def _counted(found: list[Path]) -> str:
    shown = ", ".join(p.name for p in found[:5]) + (", ..." if len(found) > 5 else "")
    return f"{len(found)} files ({shown})" if found else "no file"


def _with_split(found: list[Path], split: str, splits: set[str]) -> list[Path]:
    """A file that names no split holds the only split there is; it never stands for one of several."""
    exact = [p for p in found if p.stem.lower() == split]
    neutral = [p for p in found if not _words(p) & splits] if len(splits) == 1 else []
    return exact or [p for p in found if split in _words(p)] or neutral


def _check_not_another(path: Path, split: str | None, splits: Iterable[str]) -> None:
    named = _words(path) & set(splits)
    if split is not None and named and split not in named:
        raise InputError(
            f"{path}: split {split!r} is asked for, but the file's name says {', '.join(sorted(named))!r}. "
            "Give the directory with a file per split, or the right file."
        )


def _candidates(path: Path, config: str | None) -> list[Path]:
    for directory in (path / (config or ""), path / "data", path):
        if directory.is_dir():
            found = sorted(p for p in directory.iterdir() if p.is_file() and p.suffix.lower() in SUFFIXES)
            if found:
                return found
    raise InputError(f"{path}: no data file in it ({', '.join(sorted(SUFFIXES))}).")


def _words(path: Path) -> set[str]:
    return set(re.split(r"[^a-z]+", path.stem.lower()))


def _family(path: Path) -> tuple[str, str]:
    """Shards of one file belong together: ``train-00000-of-00002`` and ``train-00001-of-00002``."""
    return re.sub(r"-\d+-of-\d+$", "", path.stem), path.suffix.lower()
