"""Reading files that somebody else wrote: paths, text, JSON and YAML, every fault as one InputError.

Every message names the file (and the line, if there is one) and says what to do. Nothing here follows
content: limits on size and depth hold for every reader.
"""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from puretune.errors import EnvironmentFault, InputError
from puretune.visible import one_line, quoted, visible

LARGEST_TEXT = 64 * 2**20
"""Bytes of a JSON configuration file (a tokenizer's are the largest): more is an error."""
LARGEST_YAML = 2**20
"""Bytes of a YAML file, which people write by hand: more is an error."""
DEEPEST = 100
"""Nested lists and mappings in a configuration file: more is an error."""
MOST_NODES = 200_000
"""Values in a YAML file, those that aliases repeat counted each time."""
_LONGEST_NUMBER = 400


def checked_path(value: str | os.PathLike[str], what: str = "path") -> Path:
    """The path, ``~`` expanded; InputError for one that no file can have (empty, NUL, half characters,
    too long, a user that does not exist). Whether it exists is not asked.
    """
    text = os.fspath(value)
    if not text:
        raise InputError(f"{what}: the path is empty.")
    if "\0" in text:
        raise InputError(f"{what} {quoted(text)}: a path cannot contain a NUL character.")
    try:
        encoded = os.fsencode(text)
    except UnicodeEncodeError:
        raise InputError(f"{what} {quoted(text)}: not valid Unicode (half of a character pair).") from None
    if len(encoded) > 4000 or any(len(part) > 255 for part in encoded.split(b"/")):
        raise InputError(f"{what} {quoted(text, 60)}: the path is too long ({len(encoded):,} bytes).")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise InputError(f"{what} {quoted(text)}: there is no such user. Write the path in full.") from None


def working_directory() -> Path:
    """The current directory; EnvironmentFault if it has been removed."""
    try:
        return Path.cwd()
    except OSError as error:
        raise EnvironmentFault(
            f"the current directory is missing ({error.strerror}). Change to one that exists."
        ) from None


def regular(path: Path) -> Path:
    """``path``, where reading it ends; IsADirectoryError for a directory, OSError for a pipe or a device."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a directory", os.fspath(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is a device or a pipe", os.fspath(path))
    return path


def read_bytes(path: str | os.PathLike[str], what: str = "file", largest: int | None = None) -> bytes:
    """The content of a file; InputError if there is none, or a directory, or more than ``largest`` bytes;
    EnvironmentFault if this user may not read it.
    """
    file = checked_path(path, what)
    try:
        if file.is_dir():
            raise InputError(f"{visible(file)}: this is a directory, not a {what}.")
        if file.exists() and not file.is_file():
            raise InputError(f"{visible(file)}: a device or a pipe, not a {what}. Give a file.")
        if largest is not None and file.stat().st_size > largest:
            raise InputError(
                f"{visible(file)}: {file.stat().st_size:,} bytes is too much for a {what} "
                f"(at most {largest:,})."
            )
        return file.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{visible(file)}: no such {what}. Check the path.") from None
    except PermissionError:
        raise EnvironmentFault(
            f"{visible(file)}: this user may not read it. Check its permissions."
        ) from None
    except OSError as error:
        raise InputError(f"{visible(file)}: cannot be read: {error.strerror or error}.") from None


def read_text(path: str | os.PathLike[str], what: str = "file", largest: int | None = LARGEST_TEXT) -> str:
    """The UTF-8 text of a file (a byte order mark is skipped); errors as :func:`read_bytes`."""
    try:
        return read_bytes(path, what, largest).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{visible(path)}: not UTF-8 text (byte {error.start}). Save it as UTF-8.") from None


def parse_json(
    text: str | bytes, where: str, deepest: int = DEEPEST, infinite: bool = False, unique: bool = False
) -> Any:
    """The value of a JSON text; InputError, opening with ``where``, for anything else.

    NaN and Infinity are refused (JSON has no such numbers) unless ``infinite``, which is for files that other
    tools write with them; so are nesting beyond ``deepest`` and numbers of more than 400 digits, and with
    ``unique`` a key that one object has twice.
    """
    try:
        value = json.loads(
            text,
            parse_constant=float if infinite else _no_number,
            parse_int=_whole,
            parse_float=_finite,
            object_pairs_hook=_unique if unique else None,
        )
    except RecursionError:
        raise InputError(f"{where}: nested too deeply (more than {deepest} levels).") from None
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if error.lineno > 1 else ""
        raise InputError(f"{where}: not valid JSON: {error.msg} ({line}column {error.colno}).") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{where}: not valid JSON: {one_line(error)}.") from None
    if _deeper(value, deepest):
        raise InputError(f"{where}: nested too deeply (more than {deepest} levels).")
    return value


def read_json(
    path: str | os.PathLike[str],
    what: str = "JSON file",
    largest: int | None = LARGEST_TEXT,
    infinite: bool = False,
) -> Any:
    """The value in a JSON file; errors name the file. ``infinite``: see :func:`parse_json`."""
    return parse_json(read_text(path, what, largest), visible(path), infinite=infinite)


def read_mapping(
    path: str | os.PathLike[str], what: str = "JSON file", infinite: bool = False
) -> dict[str, Any]:
    """The mapping in a JSON file; InputError for another kind of value."""
    value = read_json(path, what, infinite=infinite)
    if not isinstance(value, dict):
        raise InputError(f"{visible(path)}: expected a mapping ({{...}}), not {kind_of(value)}.")
    return value


def is_text(text: str) -> bool:
    """Whether a string can be written as UTF-8 and holds no NUL."""
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def kind_of(value: Any) -> str:
    """What a JSON or YAML value is, for people: ``a list``, ``the number 3``, ``null``."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"the number {one_line(value, 30)}"
    if isinstance(value, str):
        return f"the text {quoted(value, 40)}"
    named = ((list | tuple, "a list"), (dict, "a mapping"), (bytes, "bytes, not text"))
    return next((said for kind, said in named if isinstance(value, kind)), "a value")


def parse_yaml(text: str, where: str) -> tuple[Any, yaml.Node | None]:
    """The value of a YAML text and its node tree (for line numbers); InputError, opening with ``where``.

    Strings, numbers, booleans, null, lists and mappings with unique keys, as in JSON; a date stays the text
    that it is. Refused: tags, aliases that contain themselves or multiply, nesting beyond ``DEEPEST``.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        raise InputError(_syntax(where, error)) from None
    except yaml.YAMLError as error:
        raise InputError(f"{where}: not readable as YAML: {one_line(error)}") from None
    except RecursionError:
        raise InputError(f"{where}: nested too deeply (more than {DEEPEST} levels).") from None
    if root is None:
        return None, None
    return _Values(where).value(root), root


def line_of(root: yaml.Node | None, place: Iterable[str | int]) -> int:
    """The line (from 1) of the deepest part of ``place`` (keys and list positions) that a YAML tree has."""
    node, line = root, root.start_mark.line + 1 if root else 1
    for part in place:
        found = _child(node, part)
        if found is not None:
            key, node = found
            line = key.start_mark.line + 1
    return int(line)


def _child(node: yaml.Node | None, part: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    """The node that says where a part is (its key, or itself in a list), and its value."""
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == str(part)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None


def read_yaml_value(path: str | os.PathLike[str], what: str = "YAML file") -> Any:
    """The value in a YAML file; errors name the file and the line."""
    return parse_yaml(read_text(path, what, LARGEST_YAML), visible(path))[0]


class _Values:
    """Builds the values of a YAML tree, counting them: an alias costs as much as what it repeats."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.nodes = 0

    def value(self, node: yaml.Node, depth: int = 0) -> Any:
        self.nodes += 1
        if self.nodes > MOST_NODES:
            raise self.fault(node, f"more than {MOST_NODES:,} values (aliases that repeat each other?)")
        if depth > DEEPEST:
            raise self.fault(node, f"nested too deeply (more than {DEEPEST} levels; an alias inside itself?)")
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node)
        if isinstance(node, yaml.SequenceNode):
            self.plain(node, "tag:yaml.org,2002:seq")
            return [self.value(item, depth + 1) for item in node.value]
        assert isinstance(node, yaml.MappingNode)
        self.plain(node, "tag:yaml.org,2002:map")
        return self.mapping(node, depth)

    def mapping(self, node: yaml.MappingNode, depth: int) -> dict[Any, Any]:
        content: dict[Any, Any] = {}
        merged: dict[Any, Any] = {}
        lines: dict[Any, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self.fault(key_node, "a key must be a word or a number, not a list or a mapping")
            if key_node.tag == "tag:yaml.org,2002:merge":
                merged |= self.merged(value_node, depth)
                continue
            key = self.scalar(key_node)
            if key in content:
                raise self.fault(
                    key_node,
                    f"duplicate key {quoted(key)}, first on line {lines[key]}. Remove one of them",
                )
            lines[key] = key_node.start_mark.line + 1
            content[key] = self.value(value_node, depth + 1)
        return merged | content

    def merged(self, node: yaml.Node, depth: int) -> dict[Any, Any]:
        """The mapping behind a merge key (``<<: *defaults``)."""
        value = self.value(node, depth + 1)
        if not isinstance(value, dict):
            raise self.fault(node, "a merge key (<<) takes a mapping")
        return value

    def scalar(self, node: yaml.ScalarNode) -> Any:
        text, kind = str(node.value), node.tag.removeprefix("tag:yaml.org,2002:")
        if kind == "timestamp":
            return self.date(node, text)
        if kind in ("str", "value") or (kind == "!" and node.style):
            if not is_text(text):
                raise self.fault(node, f"{quoted(text, 60)} has half a character or a NUL in it")
            return text
        if kind == "null":
            return None
        if kind == "bool":
            if text.lower() in ("true", "yes", "on", "false", "no", "off"):
                return text.lower() in ("true", "yes", "on")
            raise self.fault(node, f"{quoted(text)} is not true or false")
        if kind in ("int", "float"):
            return self.number(node, text, kind)
        raise self.fault(node, f"the tag {_tag(node)} is not supported here. Write plain values")

    def date(self, node: yaml.ScalarNode, text: str) -> str:
        """The text of a date, where it is one."""
        try:
            yaml.constructor.SafeConstructor().construct_yaml_timestamp(node)
        except (ValueError, OverflowError, AttributeError):
            raise self.fault(node, f"{quoted(text)} is not a date. If it is text, put it in quotes") from None
        return text

    def number(self, node: yaml.ScalarNode, text: str, kind: str) -> int | float:
        if len(text) > _LONGEST_NUMBER:
            raise self.fault(node, f"a number of {len(text):,} characters is too long")
        try:
            made = yaml.constructor.SafeConstructor()
            value = made.construct_yaml_int(node) if kind == "int" else made.construct_yaml_float(node)
        except (ValueError, IndexError, OverflowError, KeyError):
            raise self.fault(node, f"{quoted(text)} is not a number") from None
        return value

    def plain(self, node: yaml.Node, tag: str) -> None:
        if node.tag != tag:
            raise self.fault(node, f"the tag {_tag(node)} is not supported here. Write plain values")

    def fault(self, node: yaml.Node, what: str) -> InputError:
        return InputError(f"{self.where}:{node.start_mark.line + 1}: {what}.")


def _tag(node: yaml.Node) -> str:
    """A tag as people type it: ``!!int``, ``!mine``."""
    standard = "tag:yaml.org,2002:"
    return one_line(f"!!{node.tag.removeprefix(standard)}" if node.tag.startswith(standard) else node.tag, 60)


def _syntax(where: str, error: yaml.MarkedYAMLError) -> str:
    line = error.problem_mark.line + 1 if error.problem_mark else 1
    what = ", ".join(one_line(part) for part in (error.context, error.problem) if part)
    advice = "Check indentation, colons and quotes around this line."
    return f"{where}:{line}: not readable as YAML: {what}. {advice}"


def _deeper(value: Any, limit: int) -> bool:
    """Whether lists and mappings are nested beyond ``limit``; without recursion."""
    level: list[Any] = [value]
    for _ in range(limit + 1):
        level = [item for part in level for item in _items(part)]
        if not level:
            return False
    return True


def _items(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from (item for item in value.values() if isinstance(item, dict | list))
    elif isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict | list))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for number, key in enumerate(keys) if key in keys[:number])
        raise ValueError(f"duplicate key {quoted(twice, 60)}")
    return made


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _whole(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError(f"a number of {len(text):,} digits is too long")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is too large for a number")
    return value
