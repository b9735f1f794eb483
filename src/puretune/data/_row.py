"""One record of a file, and what every reader shares: where it is, what to do when it cannot be read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from puretune.errors import EnvironmentFault, InputError
from puretune.names import nearest
from puretune.visible import visible

OnProblem = Callable[[InputError], None]
"""What happens with a row that cannot be read."""


@dataclass(frozen=True)
class Row:
    """One record of a file or of a hub data set."""

    where: str
    """What an error says in front: ``my.jsonl:12``, ``my.json, row 12``."""
    number: int
    """Counted from 1, blank lines not counted."""
    fields: Mapping[str, Any]


class WatchedFields(dict[str, Any]):
    """A row's values, which remembers the names that were read."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.names_read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.names_read.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.names_read.add(name)
        return super().get(name, default)


def strict(problem: InputError) -> None:
    """The handler of callers that want no row left out."""
    raise problem


def is_empty(value: Any) -> bool:
    """Whether a value has no content: null, blank text, NaN (a table's null), or a collection of such."""
    if isinstance(value, Mapping):
        return all(is_empty(item) for item in value.values())
    if isinstance(value, list | tuple):
        return all(is_empty(item) for item in value)
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, float) and value != value)


def line_of_place(where: str) -> int:
    """The number at the end of a place: of ``my.jsonl:12``, or ``my.json, row 12``."""
    found = re.search(r"(\d+)$", where)
    return int(found[1]) if found else 0


def present_file(path: Path) -> None:
    """InputError if there is no such file (with the nearest name), or it is a directory or a device."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        near = nearest(path.name, _names_beside(path))
        hint = f"Did you mean {visible(near)!r}?" if near else "Check the path."
        raise InputError(f"{visible(path)}: no such file. {hint}") from None
    except OSError as error:
        raise EnvironmentFault(f"{visible(path)}: cannot be read: {error.strerror}.") from error
    if path.is_dir():
        raise InputError(f"{visible(path)} is a directory; name a file in it.")
    if not path.is_file():
        raise InputError(f"{visible(path)}: a device or a pipe; name a file.")


def _names_beside(path: Path) -> list[str]:
    try:
        return [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return []
