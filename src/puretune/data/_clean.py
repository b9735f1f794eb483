"""A user's file made fit for tuning: what a rule can repair is repaired, the rest is left out and told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from puretune.data._csv import CsvLayout
from puretune.data._files import read_rows
from puretune.data._formats import HEADER_NAMES, Draft, format_name, format_of, rename, turns_column
from puretune.data._messages import turns_in
from puretune.data._repair import Rules, readable, repaired, system_of, unwrapped
from puretune.data._row import Row, is_empty, line_of_place
from puretune.data._sampling import folded
from puretune.errors import InputError
from puretune.files import kind_of
from puretune.names import listed
from puretune.templates import Message
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


@dataclass
class _Kept:
    """A row that can be used."""

    where: str
    fields: Fields
    format: str
    draft: Draft
    rules: list[str]
    removed: str | None
    """The system message that was taken out."""

    @property
    def answered(self) -> bool:
        return self.draft.messages[-1].role == "assistant"


def clean(
    path: Path,
    rules: Rules = Rules(),  # noqa: B008 (frozen)
    format: str | None = None,
    columns: Mapping[str, str] = {},
    header: bool | None = None,
    delimiter: str | None = None,
) -> Cleaned:
    """The rows of a file, conversations repaired by ``rules``, duplicates and what cannot be read left out.

    Rows keep all their columns, under puretune's names for them; where a file mixes formats, all become
    ``messages``. ``header`` and ``delimiter`` say how a CSV file is written. InputError if the file cannot be
    read as data, if nothing is left of it, and where ``system="move"`` finds different system messages.
    """
    done, kept = Cleaned(), list[_Kept]()
    layout = CsvLayout(header, "\t" if delimiter == "tab" else delimiter, HEADER_NAMES)
    seen: set[str] = set()
    for row in _rows(path, layout, done):
        try:
            one = _row(row, columns, format, rules)
            _check(one, seen)
        except InputError as problem:
            done.changes.append(Change(row.where, left_out=_reason(problem, row)))
            continue
        kept.append(one)
    kept = _answered(kept, done)
    _to_one_format(kept)
    _to_different_ids(kept)
    done.rows = [one.fields for one in kept]
    done.systems.update(one.removed for one in kept if one.removed)
    done.changes += [Change(one.where, tuple(one.rules)) for one in kept if one.rules]
    done.changes.sort(key=lambda change: line_of_place(change.where))
    _check_result(done, path, rules)
    return done


def _rows(path: Path, layout: CsvLayout, done: Cleaned) -> Iterator[Row]:
    """The file's rows; lines that are none are left out."""

    def leave_out(problem: InputError) -> None:
        where, _, reason = str(problem).partition(": ")
        done.changes.append(Change(where, left_out=reason))

    return read_rows(path, layout, leave_out)


def _row(row: Row, columns: Mapping[str, str], format: str | None, rules: Rules) -> _Kept:
    """A row after every repair; InputError if it cannot be used then."""
    fields = readable(row.fields)
    used = ["characters"] if fields != row.fields else []
    renamed = rename(replace(row, fields=fields), columns)
    name = format_name(renamed, format)
    done, more, removed = _repaired(renamed, turns_column(renamed, format), rules)
    draft = format_of(replace(renamed, fields=done), name)(replace(row, fields=done))
    return _Kept(row.where, done, name, draft, [*used, *more], removed)


def _repaired(row: Row, column: str | None, rules: Rules) -> tuple[Fields, tuple[str, ...], str | None]:
    """A row's fields after every repair, the rules used, and the system message that was removed."""
    fields = dict(row.fields)
    said = None if is_empty(fields.get("system")) else fields.get("system")
    if column is None:
        if said is None or rules.system == "keep":
            return fields, (), None
        return {**fields, "system": None}, ("system",), str(said)
    turns = unwrapped(given := turns_in(fields[column]))
    if not isinstance(turns, list):
        raise InputError(f"{row.where}: {column!r} is {kind_of(turns)}; it must be a list of turns.")
    fields.pop("system", None)
    turns = [*([{"role": "system", "content": said}] if said is not None else []), *turns]
    fixed, used = repaired(turns, rules, row.where)
    nested = ("nested",) if turns is not given and unwrapped(given) is not given else ()
    removed = system_of(turns) if rules.system != "keep" else None
    return {**fields, column: fixed}, (*nested, *used), removed


def _check(row: _Kept, seen: set[str]) -> None:
    """InputError for a row that no run would take, or that repeats an earlier one."""
    messages = row.draft.messages
    answers = [message for message in messages if message.role == "assistant"]
    if answers and not any(message.train for message in answers):
        raise InputError(f"{row.where}: none of its answers is trained.")
    content = folded(messages)
    if content in seen:
        raise InputError(f"{row.where}: the same conversation as an earlier row.")
    seen.add(content)


def _answered(kept: list[_Kept], done: Cleaned) -> list[_Kept]:
    """The rows with an answer, where any has one; a file of prompts to test with stays whole."""
    answered = [one for one in kept if one.answered]
    if not answered:
        return kept
    reason = "no answer to train on, and other rows have one."
    done.changes += [Change(one.where, left_out=reason) for one in kept if not one.answered]
    return answered


def _to_one_format(kept: list[_Kept]) -> None:
    """Makes rows of several formats conversations."""
    if len({one.format for one in kept}) < 2:
        return
    for one in kept:
        if one.format != "messages":
            shared = ("id", "cluster", "metadata")
            others = {name: one.fields[name] for name in shared if name in one.fields}
            one.fields = {**others, "messages": [_turn(message) for message in one.draft.messages]}
            one.rules.append("format")


def _turn(message: Message) -> Fields:
    shown = message.role == "assistant" and not message.train
    return {**message.for_chat_template(), **({"train": False} if shown else {})}


def _to_different_ids(kept: list[_Kept]) -> None:
    """Removes ids that repeat an earlier one, or that none can be: such rows are called by their number."""
    seen: set[str] = set()
    for one in kept:
        given = one.fields.get("id")
        if given is None or given == "":
            continue
        usable = isinstance(given, str | int) and not isinstance(given, bool)
        if not usable or str(given) in seen:
            one.fields = {name: value for name, value in one.fields.items() if name != "id"}
            one.rules.append("ids")
        seen.add(str(given))


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
