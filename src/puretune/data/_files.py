"""Users' files as rows: JSONL, JSON, CSV, Parquet. A row knows its file and line, so that errors can say it.

{"question": "How many?", "answer": "Two. #### 2"}        one object a line: .jsonl, .ndjson
[{"question": ...}, ...]  or  {"data": [...]}             a list, or an object with one list: .json
{"messages": [{"role": ...}, ...]}                        or one row: .json
question,answer                                           a header line: .csv, .tsv
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from puretune.data._csv import CsvLayout, csv_rows
from puretune.data._parquet import parquet_rows
from puretune.data._row import OnProblem, Row, present_file, strict
from puretune.errors import InputError, unknown
from puretune.files import checked_path, kind_of, parse_json, read_bytes, regular
from puretune.visible import one_line, visible

LARGEST_FILE = 8 * 2**30
"""Bytes of a .json or .csv file, which are read as a whole: more is an error that names .jsonl."""
LONGEST_LINE = 256 * 2**20
"""Bytes of one line of a .jsonl file."""
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
"""How a file begins that a spreadsheet has saved as "Unicode text"."""
PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")


def read_rows(
    path: Path, layout: CsvLayout | None = None, on_problem: OnProblem | None = None
) -> Iterator[Row]:
    """The rows of a file, by its suffix.

    ``layout`` says how a CSV file is written. A row that cannot be read raises its InputError (with the
    line), or goes to ``on_problem`` and is passed over. InputError if the file is missing, no regular
    file, or malformed as a whole; EnvironmentFault where Parquet support is not installed.
    """
    path, layout = checked_path(path, "data file"), layout or CsvLayout()
    present_file(path)
    suffix = path.suffix.lower()
    if suffix in PACKED:
        raise InputError(f"{visible(path)}: compressed files are not read. Unpack it first.")
    if suffix not in _READERS:
        name = one_line(suffix or path.name, 60)
        raise unknown("kind of file", name, _READERS, where=visible(path))
    if suffix not in _CSV and (layout.header, layout.delimiter) != (None, None):
        raise InputError(
            f"{visible(path)}: `header` and `delimiter` are for .csv and .tsv files. Leave them out."
        )
    return _READERS[suffix](path, layout, on_problem or strict)


def _jsonl_rows(path: Path, layout: CsvLayout, on_problem: OnProblem) -> Iterator[Row]:
    count = 0
    for number, line in enumerate(_lines(path), start=1):
        where = f"{visible(path.name)}:{number}"
        try:
            text = _decoded(line, where).lstrip("\ufeff" if number == 1 else "").strip()
            if not text:
                continue
            count += 1
            fields = _object(_line_value(text, where), where)
        except InputError as problem:
            on_problem(problem)
            continue
        yield Row(where, count, fields)


def _line_value(text: str, where: str) -> Any:
    """The value of one line; InputError, with what a .jsonl file is, for a line that is not JSON alone."""
    try:
        return parse_json(text, where, unique=True)
    except InputError as error:
        if text in ("[", "{"):
            raise InputError(f"{error} A .jsonl file has one object a line; name this file .json.") from None
        raise


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with regular(path).open("rb") as file:
            while line := file.readline(LONGEST_LINE + 1):
                if len(line) > LONGEST_LINE:
                    raise InputError(f"{visible(path)}: a line of more than {LONGEST_LINE:,} bytes.")
                yield line.rstrip(b"\n")
    except OSError as error:
        raise InputError(f"{visible(path)}: cannot be read: {error.strerror or error}.") from error


def _json_rows(path: Path, layout: CsvLayout, on_problem: OnProblem) -> Iterator[Row]:
    name, text = visible(path.name), _text(path)
    try:
        value = parse_json(text, name, unique=True)
    except InputError:
        if not _one_object_a_line(text):
            raise
        yield from _jsonl_rows(
            path, layout, on_problem
        )  # common on the hub: lines of JSON under the name .json
        return
    for number, item in enumerate(_list_in(value, name), start=1):
        where = f"{name}, row {number}"
        try:
            fields = _object(item, where)
        except InputError as problem:
            on_problem(problem)
            continue
        yield Row(where, number, fields)


def _one_object_a_line(text: str) -> bool:
    first, _, rest = text.lstrip("\ufeff \t\r\n").partition("\n")
    try:
        return bool(rest.strip()) and isinstance(parse_json(first, ""), dict)
    except InputError:
        return False


def _list_in(value: Any, where: str) -> list[Any]:
    """The rows in a file's value: a list, the only list in an object, or the object itself."""
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        lists = [item for item in value.values() if isinstance(item, list)]
        if _is_conversation(value) or (value and not lists):
            return [value]
        if len(lists) == 1:
            found: list[Any] = lists[0]
            return found
        what = f"an object with {len(lists)} lists"
    else:
        what = kind_of(value)
    raise InputError(
        f"{where}: {what}; a data file holds one list of objects, or one object a line (.jsonl)."
    )


def _is_conversation(value: dict[str, Any]) -> bool:
    """Whether an object is one row: its list holds turns, not rows."""
    for name in ("messages", "conversations"):
        turns = value.get(name)
        if isinstance(turns, list) and turns and isinstance(turns[0], dict):
            return {"role", "content"} <= set(turns[0]) or {"from", "value"} <= set(turns[0])
    return False


def _object(value: Any, where: str) -> dict[str, Any]:
    """A row's fields; a list of turns is a conversation."""
    if isinstance(value, list) and value and _is_conversation({"messages": value}):
        return {"messages": value}
    if not isinstance(value, dict):
        raise InputError(f"{where}: {kind_of(value)} where an object with named fields is needed.")
    return value


def _text(path: Path) -> str:
    content = read_bytes(path, "data file", LARGEST_FILE)
    try:
        return content.decode("utf-16" if content.startswith(_UTF_16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _not_utf8(f"{visible(path.name)}:{line}", error) from error


def _decoded(line: bytes, where: str) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _not_utf8(where, error) from error


def _not_utf8(where: str, error: UnicodeDecodeError) -> InputError:
    byte = error.object[error.start]
    return InputError(f"{where}: not UTF-8 (byte 0x{byte:02x}). Save the file as UTF-8.")


def _csv_rows(path: Path, layout: CsvLayout, on_problem: OnProblem) -> Iterator[Row]:
    return csv_rows(path, _text(path), layout, on_problem)


_CSV = (".csv", ".tsv")
_READERS: dict[str, Callable[[Path, CsvLayout, OnProblem], Iterator[Row]]] = {
    ".jsonl": _jsonl_rows,
    ".ndjson": _jsonl_rows,
    ".json": _json_rows,
    **dict.fromkeys(_CSV, _csv_rows),
    ".parquet": parquet_rows,
}

SUFFIXES = frozenset(_READERS)
"""Suffixes of files that can be read."""
