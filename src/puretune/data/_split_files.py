"""Which of a directory's files hold a split: ``gsm8k_train.jsonl``, ``main/train-00000-of-00002.parquet``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from puretune.data._files import SUFFIXES
from puretune.errors import EnvironmentFault, InputError
from puretune.files import checked_path
from puretune.visible import one_line, quoted, visible


def files_of(
    path: Path, name: str, split: str | None, config: str | None, usual: str | None, splits: Iterable[str]
) -> list[Path]:
    """The files under ``path`` with the ``split`` of the source ``name``, in order.

    A file is itself, unless its name says another of ``splits``. In a directory (or its sub-directory
    ``config``, else ``usual`` or ``data``), files that carry the source's name go before others, and of these
    the ones that carry the split's. InputError if that leaves none, files of different kinds, or where
    there is no sub-directory ``config``.
    """
    if not path.is_dir():
        _check_not_another(path, split, splits)
        return [path]
    found = _candidates(_of_config(path, config) if config else path, usual)
    found = [p for p in found if name.lower() in p.stem.lower()] or found
    if split is not None:
        found = _with_split(found, split, set(splits))
    stems = {_family(p) for p in found}
    if len(stems) != 1:
        raise InputError(
            f"{visible(path)}: {_counted(found)} could hold "
            f"{f'split {one_line(split, 60)}' if split else 'the data'} of {visible(name)}. "
            f"Say which split, name a file, or call it {visible(split or name)}.jsonl."
        )
    return found


def _of_config(path: Path, config: str) -> Path:
    """The sub-directory of a configuration that was asked for."""
    folder = checked_path(path / config, "config")
    if not folder.is_dir():
        raise InputError(f"{visible(path)} has no directory {quoted(config, 60)} (`config`). Leave it out.")
    return folder


def _counted(found: list[Path]) -> str:
    shown = ", ".join(visible(p.name) for p in found[:5]) + (", ..." if len(found) > 5 else "")
    return f"{len(found)} files ({shown})" if found else "no file"


def _with_split(found: list[Path], split: str, splits: set[str]) -> list[Path]:
    """A file that names no split holds the only split there is; it is never taken for one of several."""
    exact = [p for p in found if p.stem.lower() == split]
    neutral = [p for p in found if not _words(p) & splits] if len(splits) == 1 else []
    return exact or [p for p in found if split in _words(p)] or neutral


def _check_not_another(path: Path, split: str | None, splits: Iterable[str]) -> None:
    named = _words(path) & set(splits)
    if split is not None and named and split not in named:
        raise InputError(
            f"{visible(path)}: split {quoted(split, 60)} is asked for, but the file's name says "
            f"{', '.join(sorted(named))!r}. Give the directory with a file per split, or the right file."
        )


def _candidates(path: Path, usual: str | None) -> list[Path]:
    for directory in (path / (usual or ""), path / "data", path):
        if directory.is_dir():
            found = sorted(p for p in _entries(directory) if p.is_file() and p.suffix.lower() in SUFFIXES)
            if found:
                return found
    raise InputError(f"{visible(path)}: no data file in it ({', '.join(sorted(SUFFIXES))}).")


def _entries(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError as error:
        raise EnvironmentFault(f"{visible(directory)}: cannot be read: {error.strerror}.") from error


def _words(path: Path) -> set[str]:
    return set(re.split(r"[^a-z]+", path.stem.lower()))


def _family(path: Path) -> tuple[str, str]:
    """Shards of one file belong together: ``train-00000-of-00002`` and ``train-00001-of-00002``."""
    return re.sub(r"-\d+-of-\d+$", "", path.stem), path.suffix.lower()
