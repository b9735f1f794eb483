"""CSV files as rows: with a header line or without one, separated by commas, tabs or a given character.

A header line that is missing is the fault that costs a prompt unnoticed: lists of prompts are often released
without one, and then the first prompt reads as the column's name. Unless the study says ``header: true``, a
first line is a header only where it has a known column name, or nothing but names (no blanks, no sentences).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path

from puretune.data._row import OnProblem, Row
from puretune.errors import InputError
from puretune.names import listed
from puretune.visible import quoted, visible

_LONGEST_CELL = 2**31 - 1
"""Characters in a CSV cell: Python's own limit of 131,072 is too small for long answers."""
_NAME = re.compile(r"[^\W\d][\w.:/-]{0,59}", re.UNICODE)
_SEPARATORS = (",", ";", "\t", "|")
_SAID = {",": "','", ";": "';'", "\t": "tab", "|": "'|'"}


@dataclass(frozen=True)
class CsvLayout:
    """How a CSV file is written, as far as somebody said so."""

    header: bool | None = None
    """Whether the first line names the columns; None: it must look like it."""
    delimiter: str | None = None
    """What separates cells; None: by the suffix (comma, tab), or what the first line shows."""
    known: Container[str] | None = None
    """Column names that make a line a header; None: any first line is one."""
    sole: str | None = None
    """The name of the only column of a file that is known to be released without a header line."""


def csv_rows(path: Path, text: str, layout: CsvLayout, on_problem: OnProblem) -> Iterator[Row]:
    """The rows of a CSV text; without a header line the columns are called 1, 2, 3, ..."""
    csv.field_size_limit(_LONGEST_CELL)
    said, text = _said_separator(text)
    usual = "\t" if path.suffix.lower() == ".tsv" else ","
    separator = layout.delimiter or said or _separator_of(text, usual, layout)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    name, count, header = visible(path.name), 0, None
    for cells in _filled_lines(lines, name):
        where = f"{name}:{lines.line_num}"
        if header is None:
            header, is_row = _header(cells, where, layout)
            if not is_row:
                continue
        count += 1
        if len(cells) == len(header):
            yield Row(where, count, dict(zip(header, cells, strict=True)))
        else:
            on_problem(InputError(f"{where}: {_other_number(cells, header, separator)}"))


def _filled_lines(lines: Iterator[list[str]], name: str) -> Iterator[list[str]]:
    """The lines that are not blank, csv's errors in our words."""
    while True:
        start = lines.line_num + 1  # type: ignore[attr-defined]
        try:
            cells = next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(f"{name}:{start}: not CSV: {_wrong_quotes(error)}") from error
        if cells:
            yield cells


def _wrong_quotes(error: csv.Error) -> str:
    """What csv found, in our words."""
    if "expected after" in str(error):
        return "text follows the quote that ends a cell. Write a quote inside a quoted cell twice."
    if "unexpected end" in str(error):
        return "a quote begins a cell here that no quote ends. Write a quote inside a quoted cell twice."
    return f"{visible(error)}. Check the quotes."


def _other_number(cells: list[str], header: list[str], separator: str) -> str:
    return (
        f"{len(cells)} cells under a header of {len(header)} ({listed(header)}). Put cells that contain "
        f"{_SAID.get(separator, repr(separator))} in double quotes."
    )


def _header(cells: list[str], where: str, layout: CsvLayout) -> tuple[list[str], bool]:
    """The columns' names, and whether the first line is a row: then they are none of its cells."""
    if layout.header is False:
        return [str(number) for number in range(1, len(cells) + 1)], True
    if layout.header is None and not _names_columns(cells, layout):
        if layout.sole is not None and len(cells) == 1 and " " in cells[0]:
            return [layout.sole], True
        raise InputError(_missing_header(cells, where))
    names = [cell.strip() for cell in cells]
    if len(set(names)) < len(names):
        twice = next(name for number, name in enumerate(names) if name in names[:number])
        raise InputError(f"{where}: the header names column {quoted(twice, 60)} twice. Rename one of them.")
    return names, False


def _names_columns(cells: list[str], layout: CsvLayout) -> bool:
    """Whether a first line is a header without doubt. A table's index has no name."""
    if layout.known is None or any(cell.strip() in layout.known for cell in cells):
        return True
    names = cells[1:] if not cells[0] else cells
    return len(cells) > 1 and all(_NAME.fullmatch(cell) for cell in names)


def _said_separator(text: str) -> tuple[str | None, str]:
    """The separator that a spreadsheet states on a line of its own (``sep=;``), and the text; that line is
    left blank, so that lines keep their numbers."""
    found = re.match(r"sep=([^\r\n\w])(?=\r?\n)", text)
    return (found[1], text[found.end() :]) if found else (None, text)


def _separator_of(text: str, usual: str, layout: CsvLayout) -> str:
    """The usual separator; another one where it alone makes several names of the first line."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    if usual in first:
        return usual
    for other in _SEPARATORS:
        parts = [part.strip().strip('"') for part in first.split(other)]
        named = any(part in (layout.known or ()) for part in parts) or all(map(_NAME.fullmatch, parts))
        if len(parts) > 1 and named:
            return other
    return usual


def _missing_header(cells: list[str], where: str) -> str:
    mapped = "" if len(cells) == 1 else " and number the columns: `columns: {prompt: 1, completion: 2}`"
    options = "--no-header" + ("" if len(cells) == 1 else " --columns prompt=1 --columns completion=2")
    return (
        f"{where}: the header line seems to be missing: the first line reads {quoted(cells[0], 60)}. If "
        f"it is data, add `header: false`{mapped} (data check: {options}); if it names the columns, add "
        "`header: true` (--header)."
    )
