"""Reading a study file: YAML whose every value still knows its line, duplicate keys refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from puretune.errors import InputError
from puretune.files import LARGEST_YAML, kind_of, line_of, parse_yaml, read_text
from puretune.visible import visible

if TYPE_CHECKING:
    import yaml

Place = Sequence[str | int]
"""Where in a study: keys and list positions from the top, ``("tuning", "recipe", "rank")``."""


@dataclass(frozen=True)
class Origin:
    """The file that a study came from."""

    path: Path
    root: yaml.Node

    def line(self, place: Place) -> int:
        """The line (from 1) of the deepest part of ``place`` that the file has."""
        return line_of(self.root, place)


def read_yaml(path: Path) -> tuple[dict[str, Any], Origin]:
    """The mapping in a YAML file and where its parts are.

    InputError (file, line, fix) for a missing file, broken YAML, a duplicate key, or anything but a mapping.
    """
    content, root = parse_yaml(read_text(path, "study file", LARGEST_YAML), visible(path))
    if root is None or not isinstance(content, dict):
        raise InputError(
            f"{visible(path)}: a study file is a mapping (name:, model:, train:, ...), "
            f"not {kind_of(content)}."
        )
    return content, Origin(path, root)


def dotted(place: Place) -> str:
    """``tuning.data[1].source`` for people."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
