"""Types of command-line parameters that refuse what no file and no number can be."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import click

from puretune.errors import InputError
from puretune.files import checked_path
from puretune.visible import quoted, visible


class _FilePath(click.ParamType[Path]):
    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        what = "path" if param is None else param.human_readable_name
        return checked_path(value, what)


class _RegularFile(_FilePath):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path = super().convert(value, param, ctx)
        if not path.name or path.is_dir():
            raise InputError(f"{visible(value)} is a directory; a file is needed here.")
        if path.exists() and not path.is_file():
            raise InputError(f"{visible(value)} is a device or a pipe; a file is needed here.")
        return path


PATH = _FilePath()
"""A path that a file or directory can have, ``~`` expanded; InputError otherwise. It need not exist."""
FILE = _RegularFile()
"""The same of what is, or is to become, a file: directories, devices and pipes are refused."""


def free_file(out: Path, file: Path, force: bool) -> Path:
    """``out``, where what is made of ``file`` may be written to it; InputError otherwise."""
    if out.exists() and file.exists() and out.samefile(file):
        raise InputError(f"{visible(out)} is the file that is read. Choose another --out.")
    if os.path.lexists(out) and not force:  # a link to nowhere is somebody's too
        raise InputError(f"{visible(out)} exists. Choose another --out, or replace it with --force.")
    return out


def column_mapping(columns: tuple[str, ...]) -> dict[str, str]:
    """``--columns CANONICAL=THEIRS``, each given once or more; InputError for anything else."""
    mapping = {}
    for pair in columns:
        canonical, equals, theirs = pair.partition("=")
        if not (canonical and equals and theirs):
            raise InputError(
                f"--columns {quoted(pair)}: write CANONICAL=YOURS, such as --columns question=frage."
            )
        mapping[canonical] = theirs
    return mapping


class FiniteRange(click.FloatRange):
    """A range of floats without NaN and infinity."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


class Percent(click.ParamType[float]):
    """A share, written as ``2%`` or ``0.02``."""

    name = "percent"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value).strip()
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = math.nan
        if not 0 <= share <= 1:
            self.fail(f"{quoted(text, 40)} is not a share. Write 2%, or 0.02.", param, ctx)
        return share


SEED = click.IntRange(0, 2**32 - 1)
"""What every random generator in use takes as a seed."""
