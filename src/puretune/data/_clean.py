"""A user's file made fit for tuning: what a rule can repair is repaired, the rest is left out and told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from puretune.data._csv import CsvLayout
from puretune.data._files import read_rows
from puretune.data._formats import HEADER_NAMES, Converter, format_of, rename, turns_column
from puretune.data._repair import Rules, repaired, system_of
from puretune.data._row import Row, is_empty
from puretune.data._sampling import folded
from puretune.errors import InputError
from puretune.files import kind_of
from puretune.names import listed
from puretune.visible import visible

Fields = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """What was done to one row: the rules that changed it, or why it is left out."""

    where: str
    rules: tuple[str, ...] = ()
    left_out: str = ""


@dataclass
class Cleaned:
    """The rows that can be used, and everything that was done to get them."""

    rows: list[Fields] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    systems: Counter[str] = field(default_factory=Counter)
    """The system messages that were removed, each with its number of rows."""

    @property
    def counts(self) -> Counter[str]:
        """How many rows each rule changed."""
        return Counter(rule for change in self.changes for rule in change.rules)

    @property
    def left_out(self) -> list[Change]:
        """The rows that are left out."""
        return [change for change in self.changes if change.left_out]


def clean(
    path: Path,
    rules: Rules = Rules(),  # noqa: B008 (frozen)
    format: str | None = None,
    columns: Mapping[str, str] = {},
    header: bool | None = None,
    delimiter: str | None = None,
) -> Cleaned:
    """The rows of a file, conversations repaired by ``rules``, duplicates and what cannot be read left out.

    Rows keep all their columns, under puretune's names for them. ``header`` and ``delimiter`` say how a CSV
    file is written. InputError if the file cannot be read as
    data, if nothing is left of it, and where ``system="move"`` finds different system messages.
    """
    done, convert, seen = Cleaned(), None, set[str]()
    layout = CsvLayout(header, "\t" if delimiter == "tab" else delimiter, HEADER_NAMES)
    for row in _rows(path, layout, done):
        renamed = rename(row, columns)
        convert = convert or format_of(renamed, format)
        try:
            fields, used, removed = _repaired(renamed, turns_column(renamed, format), rules)
            _check(replace(row, fields=fields), convert, seen)
        except InputError as problem:
            done.changes.append(Change(row.where, left_out=_reason(problem, row)))
            continue
        done.rows.append(fields)
        done.systems.update([removed] if removed else [])
        done.changes += [Change(row.where, used)] if used else []
    _check_result(done, path, rules)
    return done


def _rows(path: Path, layout: CsvLayout, done: Cleaned) -> Iterator[Row]:
    """The file's rows; lines that are none are left out."""

    def leave_out(problem: InputError) -> None:
        where, _, reason = str(problem).partition(": ")
        done.changes.append(Change(where, left_out=reason))

    return read_rows(path, layout, leave_out)


def _repaired(row: Row, column: str | None, rules: Rules) -> tuple[Fields, tuple[str, ...], str | None]:
    """A row's fields after every repair, the rules used, and the system message that was removed."""
    fields = dict(row.fields)
    said = None if is_empty(fields.get("system")) else fields.get("system")
    if column is None:
        if said is None or rules.system == "keep":
            return fields, (), None
        return {**fields, "system": None}, ("system",), str(said)
    if not isinstance(fields[column], list):
        raise InputError(f"{row.where}: {column!r} is {kind_of(fields[column])}; it must be a list of turns.")
    fields.pop("system", None)
    turns = [*([{"role": "system", "content": said}] if said is not None else []), *fields[column]]
    fixed, used = repaired(turns, rules, row.where)
    removed = system_of(turns) if rules.system != "keep" else None
    return {**fields, column: fixed}, used, removed


def _check(row: Row, convert: Converter, seen: set[str]) -> None:
    """InputError for a row that no run would take, or that repeats an earlier one."""
    messages = convert(row).messages
    answers = [message for message in messages if message.role == "assistant"]
    if answers and not any(message.train for message in answers):
        raise InputError(f"{row.where}: none of its answers is trained.")
    content = folded(messages)
    if content in seen:
        raise InputError(f"{row.where}: the same conversation as an earlier row.")
    seen.add(content)


def _check_result(done: Cleaned, path: Path, rules: Rules) -> None:
    if not done.rows:
        first = f" The first is left out because: {done.left_out[0].left_out}" if done.left_out else ""
        raise InputError(f"{visible(path)}: no row that can be used.{first}")
    if rules.system == "move" and len(done.systems) > 1:
        raise InputError(
            f"{visible(path)}: {len(done.systems):,} different system messages; one can move to a template: "
            f"{listed(done.systems, 3)}. Use --system keep or drop."
        )


def _reason(problem: InputError, row: Row) -> str:
    return str(problem).removeprefix(f"{row.where}: ")
