"""The formats of users' rows, and how each becomes messages.

    messages           {"messages": [{"role": "user", "content": "How many?"}, {"role": "assistant", ...}]}
    sharegpt           {"conversations": [{"from": "human", "value": "How many?"}, {"from": "gpt", ...}]}
    alpaca             {"instruction": "Count them.", "input": "a b", "output": "Two."}
    prompt-completion  {"prompt": "How many?", "completion": "Two."}
    question-answer    {"question": "How many?", "answer": "Two."}

A single-turn row may leave its response out: then it is a prompt to test with. ``system`` (a system prompt),
``id``, ``cluster`` and ``metadata`` (an object) are read in every format. In alpaca rows the input follows
the instruction after a blank line. A turn with ``"weight": 0`` or ``"train": false`` is shown, not trained.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from puretune.data._files import Row
from puretune.data._messages import conversation, plain_text
from puretune.errors import InputError, unknown
from puretune.templates import Message


@dataclass(frozen=True)
class Draft:
    """An example before it has its id."""

    messages: tuple[Message, ...]
    cluster: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


Converter = Callable[[Row], Draft]
"""A row -> what it says; InputError, with the row's place, where it says nothing usable."""


@dataclass(frozen=True)
class _SingleTurn:
    """Columns of a single-turn format: the canonical name first, then other names it is known by."""

    query: tuple[str, ...]
    response: tuple[str, ...]
    addition: str | None = None


_SINGLE = {
    "alpaca": _SingleTurn(("instruction",), ("output", "response"), "input"),
    "prompt-completion": _SingleTurn(("prompt",), ("completion", "response")),
    "question-answer": _SingleTurn(("question", "query"), ("answer", "reference", "response")),
}
_TURNS = {"messages": ("messages", "role", "content"), "sharegpt": ("conversations", "from", "value")}
_COMMON = ("id", "system", "cluster", "metadata")

FORMATS: tuple[str, ...] = (*_TURNS, *_SINGLE)
"""Names of the formats."""


def converter(row: Row, format: str | None = None, columns: Mapping[str, str] | None = None) -> Converter:
    """How rows like ``row`` (a file's first) become drafts.

    ``format`` wins; without it the columns decide, whole conversations before single turns. ``columns`` maps
    a canonical column to the file's. InputError where no format fits, or two do.
    """
    columns = columns or {}
    renamed = rename(row, columns, known_columns(format))
    chosen = format or _detected(renamed)
    turns = _TURNS.get(chosen)
    if turns is not None:
        return lambda each: _from_turns(rename(each, columns), turns)
    names = _SINGLE[chosen]
    return lambda each: _from_single(rename(each, columns), names, frozenset(columns))


def known_columns(format: str | None) -> tuple[str, ...]:
    """The canonical columns of a format (of all, for None); InputError for an unknown format."""
    if format is not None and format not in FORMATS:
        raise unknown("format", format, FORMATS)
    own: list[str] = [_TURNS[name][0] for name in _TURNS if format in (None, name)]
    for name, names in _SINGLE.items():
        if format in (None, name):
            own += [*names.query, *names.response, *([names.addition] if names.addition else [])]
    return (*own, *_COMMON)


def rename(row: Row, columns: Mapping[str, str], known: Iterable[str] | None = None) -> Row:
    """The row under canonical column names; a file's column that is mapped loses its own name."""
    if not columns:
        return row
    for canonical, theirs in columns.items():
        if known is not None and canonical not in known:
            raise unknown("column", canonical, known, where="columns (canonical: the file's)")
        if theirs not in row.fields:
            raise unknown("column", theirs, row.fields, where=row.where)
    taken = set(columns.values())
    fields = {name: value for name, value in row.fields.items() if name not in taken}
    fields.update({canonical: row.fields[theirs] for canonical, theirs in columns.items()})
    return replace(row, fields=fields)


def required(row: Row, *names: str) -> None:
    """InputError, with the nearest column, for the first of ``names`` that the row lacks."""
    for name in names:
        if name not in row.fields:
            near = difflib.get_close_matches(name, row.fields, n=1, cutoff=0.5)
            hint = f" Did you mean {near[0]!r}? Map it: columns {{{name}: {near[0]}}}." if near else ""
            raise InputError(f"{row.where}: no column {name!r}.{hint} {_columns_of(row)}")


def single_turn(row: Row, query: str, response: str | None, system: str | None = None, **more: Any) -> Draft:
    """A draft from plain texts; ``more`` are further fields of :class:`Draft`."""
    turns = [{"role": "user", "content": query}]
    if system:
        turns.insert(0, {"role": "system", "content": system})
    if response is not None:
        turns.append({"role": "assistant", "content": response})
    return Draft(conversation(turns, row.where), **more)


def text_of(row: Row, name: str) -> str:
    """A column's text; InputError where the column is absent, blank or not text."""
    required(row, name)
    return plain_text(row.fields[name], f"{row.where}: {name!r}")


def optional_text(row: Row, name: str) -> str | None:
    """A column's text, or None where it is absent, null or blank."""
    value = row.fields.get(name)
    if value is None or value == "":
        return None
    return plain_text(value, f"{row.where}: {name!r}") if str(value).strip() else None


def _from_turns(row: Row, names: tuple[str, str, str]) -> Draft:
    column, role, content = names
    required(row, column)
    turns = row.fields[column]
    if not isinstance(turns, list):
        kind = type(turns).__name__
        raise InputError(
            f"{row.where}: {column!r} is {kind}; it must be a list of {{{role}, {content}}} objects."
        )
    system = optional_text(row, "system")
    head = [{role: "system", content: system}] if system else []
    return Draft(conversation([*head, *turns], row.where, role, content), **_common(row))


def _from_single(row: Row, names: _SingleTurn, mapped: frozenset[str]) -> Draft:
    asked = _named(row, names.query, mapped) or names.query[0]
    query = text_of(row, asked)
    addition = optional_text(row, names.addition) if names.addition else None
    answered = _named(row, names.response, mapped)
    if answered is None:
        _check_no_slip(row, names.response, (*names.query, names.addition or "", *_COMMON))
    response = None if answered is None else text_of(row, answered)
    whole = f"{query}\n\n{addition}" if addition else query
    return single_turn(row, whole, response, optional_text(row, "system"), **_common(row))


def _named(row: Row, names: tuple[str, ...], mapped: frozenset[str]) -> str | None:
    """Which of ``names`` the row has; a mapped one wins; InputError where two could be meant."""
    there = [name for name in names if name in mapped] or [name for name in names if name in row.fields]
    if len(there) > 1:
        raise InputError(
            f"{row.where}: {' and '.join(map(repr, there))} could both be the {names[0]}. "
            f"Say which: columns {{{names[0]}: {there[-1]}}}."
        )
    return there[0] if there else None


def _check_no_slip(row: Row, wanted: tuple[str, ...], used: tuple[str, ...]) -> None:
    """No response column is fine for prompts to test with; a misspelt one is not."""
    others = [name for name in row.fields if name not in used and "_" not in name]  # answer_key is no slip
    near = next((n for name in wanted for n in difflib.get_close_matches(name, others, 1, 0.75)), None)
    if near is not None:
        raise InputError(
            f"{row.where}: no column {wanted[0]!r}, but {near!r}. If that is the response, map it: "
            f"columns {{{wanted[0]}: {near}}}; otherwise rename it."
        )


def _common(row: Row) -> dict[str, Any]:
    metadata = row.fields.get("metadata") or {}
    if not isinstance(metadata, Mapping):
        raise InputError(f"{row.where}: 'metadata' is {type(metadata).__name__}; it must be an object.")
    return {"cluster": optional_text(row, "cluster"), "metadata": dict(metadata)}


def _detected(row: Row) -> str:
    for name, (column, _, _) in _TURNS.items():
        if column in row.fields:
            return name
    fitting = [name for name, single in _SINGLE.items() if any(c in row.fields for c in single.query)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        formats = " or ".join(map(repr, fitting))
        raise InputError(
            f"{row.where}: the format could be {formats}; say which with `format`. {_columns_of(row)}"
        )
    wanted = known_columns(None)
    near = next((n for c in row.fields for n in difflib.get_close_matches(c, wanted, 1, 0.6)), "question")
    theirs = (difflib.get_close_matches(near, row.fields, 1, 0.6) or ["YOURS"])[0]
    raise InputError(
        f"{row.where}: no format has these columns. {_columns_of(row)} Map them: "
        f"columns {{{near}: {theirs}}}; formats: {', '.join(FORMATS)}."
    )


def _columns_of(row: Row) -> str:
    return f"The columns are: {', '.join(map(str, row.fields)) or 'none'}."
