"""Reading a study file: YAML whose every value still knows its line, duplicate keys refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from puretune.errors import InputError

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
        node, line = self.root, _line(self.root)
        for part in place:
            found = _child(node, part)
            if found is not None:
                line, node = found
        return line


def read_yaml(path: Path) -> tuple[dict[str, Any], Origin]:
    """The mapping in a YAML file and where its parts stand.

    InputError (file, line, fix) for a missing file, broken YAML, a duplicate key, or anything but a mapping.
    """
    import yaml

    text = _text_of(path)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is not None:
            _refuse_duplicates(root, path)
        content = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        raise InputError(_syntax(path, error)) from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not readable as YAML: {error}") from None
    if root is None or not isinstance(content, dict):
        raise InputError(
            f"{path}: a study file is a mapping (name:, model:, train:, ...), not {_kind(content)}."
        )
    return content, Origin(path, root)


def dotted(place: Place) -> str:
    """``tuning.data[1].source`` for people."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such study file. Check the path.") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start}). Save it as UTF-8.") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from None


def _syntax(path: Path, error: yaml.MarkedYAMLError) -> str:
    line = error.problem_mark.line + 1 if error.problem_mark else 1
    what = ", ".join(part for part in (error.context, error.problem) if part)
    return (
        f"{path}:{line}: not readable as YAML: {what}. Check indentation, colons and quotes around this line."
    )


def _refuse_duplicates(node: yaml.Node, path: Path) -> None:
    for mapping in _mappings(node):
        first: dict[str, int] = {}
        for key, _ in mapping.value:
            if key.value in first:
                raise InputError(
                    f"{path}:{_line(key)}: key {key.value!r} stands twice (first on line "
                    f"{first[key.value]}). Remove one of them."
                )
            first[key.value] = _line(key)


def _mappings(node: yaml.Node) -> Iterator[yaml.MappingNode]:
    import yaml

    seen: set[int] = set()  # an anchor may contain itself
    left = [node]
    while left:
        current = left.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        if isinstance(current, yaml.MappingNode):
            yield current
            left += [part for pair in current.value for part in pair]
        elif isinstance(current, yaml.SequenceNode):
            left += current.value


def _child(node: yaml.Node, part: str | int) -> tuple[int, yaml.Node] | None:
    import yaml

    if isinstance(node, yaml.MappingNode):
        return next(((_line(key), value) for key, value in node.value if key.value == str(part)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return _line(node.value[part]), node.value[part]
    return None


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
