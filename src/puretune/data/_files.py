"""Users' files as rows: JSONL, JSON, CSV, Parquet. A row knows where it stands, so that errors can say it.

{"question": "How many?", "answer": "Two. #### 2"}        one object a line: .jsonl, .ndjson
[{"question": ...}, ...]  or  {"data": [...]}             a list, or an object with one list: .json
question,answer                                           a header line: .csv, .tsv
"""

from __future__ import annotations

import csv
import difflib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from puretune.errors import EnvironmentFault, InputError, unknown

_LONGEST_CELL = 2**31 - 1
"""Characters in a CSV cell: Python's own limit of 131,072 is too small for long answers."""


@dataclass(frozen=True)
class Row:
    """One record of a file or of a hub data set."""

    where: str
    """What an error says in front: ``my.jsonl:12``, ``my.json, row 12``."""
    number: int
    """Counted from 1, blank lines not counted."""
    fields: Mapping[str, Any]


def read_rows(path: Path, headerless: str | None = None) -> Iterator[Row]:
    """The rows of a file, by its suffix.

    ``headerless`` names the only column of a CSV file that may come without its header line. InputError
    (with the line) where the file is missing, not UTF-8, malformed; EnvironmentFault where Parquet support is
    not installed.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise unknown("kind of file", path.suffix or path.name, _READERS, where=str(path))
    if reader is _csv_rows:
        return _csv_rows(path, headerless)
    return reader(path)


def _jsonl_rows(path: Path) -> Iterator[Row]:
    count = 0
    for number, line in enumerate(_bytes(path).split(b"\n"), start=1):
        where = f"{path.name}:{number}"
        text = _decoded(line, where).lstrip("\ufeff" if number == 1 else "").strip()
        if text:
            count += 1
            yield Row(where, count, _object(parse_json(text, where), where))


def _json_rows(path: Path) -> Iterator[Row]:
    text = _text(path)
    try:
        value = parse_json(text, path.name)
    except InputError:
        if not _one_object_a_line(text):
            raise
        yield from _jsonl_rows(path)  # common on the hub: lines of JSON under the name .json
        return
    for number, item in enumerate(_list_in(value, path.name), start=1):
        where = f"{path.name}, row {number}"
        yield Row(where, number, _object(item, where))


def _csv_rows(path: Path, headerless: str | None = None) -> Iterator[Row]:
    csv.field_size_limit(_LONGEST_CELL)
    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    lines = csv.reader(io.StringIO(_text(path), newline=""), delimiter=separator, strict=True)
    count, header = 0, None
    for cells in _csv_lines(lines, path):
        where = f"{path.name}:{lines.line_num}"
        if header is None:
            header = _header(cells, where, headerless)
            if header == cells:
                continue
        count += 1
        if len(cells) != len(header):
            raise InputError(
                f"{where}: {len(cells)} cells under a header of {len(header)} ({', '.join(header)}). "
                "Put cells that contain a comma in double quotes."
            )
        yield Row(where, count, dict(zip(header, cells, strict=True)))


def _csv_lines(lines: Iterator[list[str]], path: Path) -> Iterator[list[str]]:
    """The lines that are not blank, csv's errors in our words."""
    while True:
        try:
            cells = next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            number = getattr(lines, "line_num", "?")
            raise InputError(f"{path.name}:{number}: not CSV: {error}. Check the quotes.") from error
        if cells:
            yield cells


def _header(cells: list[str], where: str, headerless: str | None) -> list[str]:
    if headerless is not None and len(cells) == 1 and " " in cells[0]:
        return [headerless]
    twice = next((cell for cell in cells if cells.count(cell) > 1), None)
    if twice is not None:
        raise InputError(f"{where}: the header names column {twice!r} twice. Rename one of them.")
    return cells


def _parquet_rows(path: Path) -> Iterator[Row]:
    _check_there(path)
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise EnvironmentFault(
            f"{path}: reading Parquet needs pyarrow. Install it: pip install 'puretune[data]'."
        ) from error
    try:
        number = 0
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches():
                for fields in batch.to_pylist():
                    number += 1
                    yield Row(f"{path.name}, row {number}", number, fields)
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise InputError(f"{path}: not a Parquet file that can be read: {error}") from error


_READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".jsonl": _jsonl_rows,
    ".ndjson": _jsonl_rows,
    ".json": _json_rows,
    ".csv": _csv_rows,
    ".tsv": _csv_rows,
    ".parquet": _parquet_rows,
}

SUFFIXES = frozenset(_READERS)
"""Suffixes of files that can be read."""


def parse_json(text: str, where: str) -> Any:
    """A JSON value; InputError with the place. NaN and Infinity are not JSON."""
    try:
        return json.loads(text, parse_constant=_not_json)
    except json.JSONDecodeError as error:
        place = f"{where}:{error.lineno}" if "\n" in text else where
        raise InputError(
            f"{place}: not valid JSON: {error.msg} at column {error.colno}. Correct this line."
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not valid JSON: {error}. Correct it.") from error


def _not_json(constant: str) -> Any:
    raise ValueError(f"{constant} is not a JSON value; write null or a string")


def _one_object_a_line(text: str) -> bool:
    first = text.lstrip().split("\n", 1)[0].strip()
    try:
        return isinstance(json.loads(first), dict)
    except ValueError:
        return False


def _list_in(value: Any, where: str) -> list[Any]:
    if isinstance(value, list):
        return value
    lists = [key for key, item in value.items() if isinstance(item, list)] if isinstance(value, dict) else []
    if len(lists) == 1:
        found: list[Any] = value[lists[0]]
        return found
    inside = f"an object with {len(lists)} lists" if isinstance(value, dict) else type(value).__name__
    raise InputError(
        f"{where}: {inside}; a data file holds one list of objects, or one object a line (.jsonl)."
    )


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{where}: {type(value).__name__} where an object with named fields is needed.")
    return value


def _text(path: Path) -> str:
    content = _bytes(path)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _not_utf8(f"{path.name}:{line}", error) from error


def _decoded(line: bytes, where: str) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _not_utf8(where, error) from error


def _not_utf8(where: str, error: UnicodeDecodeError) -> InputError:
    byte = error.object[error.start]
    return InputError(f"{where}: not UTF-8 (byte 0x{byte:02x}). Save the file as UTF-8.")


def _bytes(path: Path) -> bytes:
    _check_there(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from error


def _check_there(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{path} is a directory; name a file in it.")
    if not path.exists():
        there = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        near = difflib.get_close_matches(path.name, there, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else "Check the path."
        raise InputError(f"{path}: no such file. {hint}")
