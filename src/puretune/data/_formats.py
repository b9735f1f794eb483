"""The formats of users' rows, and how each becomes messages.

    messages           {"messages": [{"role": "user", "content": "How many?"}, {"role": "assistant", ...}]}
    sharegpt           {"conversations": [{"from": "human", "value": "How many?"}, {"from": "gpt", ...}]}
    alpaca             {"instruction": "Count them.", "input": "a b", "output": "Two."}
    prompt-completion  {"prompt": "How many?", "completion": "Two."}
    question-answer    {"question": "How many?", "answer": "Two."}

A single-turn row may leave its response out: then it is a prompt to test with. ``system`` (a system prompt),
``id``, ``cluster`` and ``metadata`` (an object) are read in every format. In alpaca rows the input (Dolly
calls it ``context``) follows the instruction after a blank line, and ``history`` (LLaMA-Factory: a list of
pairs) comes before it as turns. Turns may say role and content or from and value under either name. A turn
with ``"weight": 0`` or ``"train": false`` is shown, not trained.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from puretune.data._messages import checked_value, conversation, fields_not_read, plain_text, turns_in
from puretune.data._row import Row, WatchedFields
from puretune.errors import InputError, unknown
from puretune.files import kind_of
from puretune.names import listed, nearest
from puretune.templates import Message
from puretune.visible import one_line, quoted


@dataclass(frozen=True)
class Draft:
    """An example before it has its id."""

    messages: tuple[Message, ...]
    cluster: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    fields_not_read: frozenset[str] = frozenset()
    """Names of message fields that say something and are not read."""


Converter = Callable[[Row], Draft]
"""A row -> what it says; InputError, with the row's place, where it says nothing usable."""


@dataclass(frozen=True)
class _SingleTurn:
    """Columns of a single-turn format: the canonical name first, then other names it is known by."""

    query: tuple[str, ...]
    response: tuple[str, ...]
    addition: tuple[str, ...] = ()
    history: str | None = None


_SINGLE = {
    "alpaca": _SingleTurn(("instruction",), ("output", "response"), ("input", "context"), "history"),
    "prompt-completion": _SingleTurn(("prompt",), ("completion", "response")),
    "question-answer": _SingleTurn(("question", "query"), ("answer", "reference", "response")),
}
_TURNS = {"messages": "messages", "sharegpt": "conversations"}
_COMMON = ("id", "system", "cluster", "metadata")

FORMATS: tuple[str, ...] = (*_TURNS, *_SINGLE)
"""Names of the formats."""


def format_of(row: Row, format: str | None = None, ignore: Collection[str] = ()) -> Converter:
    """How rows like ``row`` (a file's first, under canonical names) become drafts.

    ``format`` wins; without it the columns decide, whole conversations before single turns. ``ignore``:
    message fields that are not read. InputError where no format fits, or two do.
    """
    chosen = format or _detected(row)
    column = _TURNS.get(chosen)
    if column is not None:
        return lambda each: _from_turns(each, column, ignore)
    return lambda each: _from_single(each, _SINGLE[chosen])


def format_name(row: Row, format: str | None = None) -> str:
    """The format of a row under canonical names; InputError where none fits."""
    return format or _detected(row)


def turns_column(row: Row, format: str | None = None) -> str | None:
    """The column in which rows like ``row`` hold a conversation; None: a row is a single turn."""
    return _TURNS.get(format or _detected(row))


def known_columns(format: str | None) -> tuple[str, ...]:
    """The canonical columns of a format (of all, for None); InputError for an unknown format."""
    if format is not None and format not in FORMATS:
        raise unknown("format", format, FORMATS)
    own: list[str] = [column for name, column in _TURNS.items() if format in (None, name)]
    for name, names in _SINGLE.items():
        if format in (None, name):
            own += [*names.query, *names.response, *names.addition]
            own += [names.history] if names.history else []
    return (*dict.fromkeys(own), *_COMMON)


def rename(row: Row, columns: Mapping[str, str], known: Iterable[str] | None = None) -> Row:
    """The row under canonical column names; a file's column that is mapped loses its own name.

    The fields of what comes back remember which of them were read.
    """
    for canonical, theirs in columns.items():
        if known is not None and canonical not in known:
            raise unknown("column", canonical, known, where="columns (canonical: the file's)")
        if theirs not in row.fields:
            near = nearest(theirs, row.fields)
            hint = f" Did you mean {quoted(near)}?" if near else ""
            raise InputError(f"{row.where}: no column {quoted(theirs, 60)}.{hint} {_columns_of(row)}")
    taken = set(columns.values())
    fields = {name: value for name, value in row.fields.items() if name not in taken}
    fields.update({canonical: row.fields[theirs] for canonical, theirs in columns.items()})
    return replace(row, fields=_Mapped(fields, frozenset(columns)))


class _Mapped(WatchedFields):
    """A row's values under canonical names, and which of these were mapped."""

    def __init__(self, values: Mapping[str, Any], mapped: frozenset[str]) -> None:
        super().__init__(values)
        self.mapped = mapped


def required(row: Row, *names: str) -> None:
    """InputError, with the nearest column, for the first of ``names`` that the row does not have."""
    for name in names:
        if name not in row.fields:
            near = nearest(name, row.fields)
            hint = f" Did you mean {near!r}? Map it: columns {{{name}: {near}}}." if near else ""
            raise InputError(f"{row.where}: no column {name!r}.{hint} {_columns_of(row)}")


def single_turn(row: Row, query: str, response: str | None, system: str | None = None, **more: Any) -> Draft:
    """A draft from plain texts; ``more`` are further fields of :class:`Draft`."""
    return _dialogue(row, [(query, response)], system, **more)


def text_of(row: Row, name: str) -> str:
    """A column's text; InputError if the column is absent, blank or not text."""
    required(row, name)
    return plain_text(row.fields[name], f"{row.where}: {name!r}")


def optional_text(row: Row, name: str) -> str | None:
    """A column's text, or None if it is absent, null or blank."""
    value = row.fields.get(name)
    if value is None or value == "":
        return None
    return plain_text(value, f"{row.where}: {name!r}") if str(value).strip() else None


def _dialogue(
    row: Row, pairs: Iterable[tuple[str, str | None]], system: str | None = None, **more: Any
) -> Draft:
    turns = [{"role": "system", "content": system}] if system else []
    for query, response in pairs:
        turns.append({"role": "user", "content": query})
        if response is not None:
            turns.append({"role": "assistant", "content": response})
    return Draft(conversation(turns, row.where), **more)


def _from_turns(row: Row, column: str, ignore: Collection[str]) -> Draft:
    required(row, column)
    turns = turns_in(row.fields[column])
    if not isinstance(turns, list):
        what = "text that is no JSON list" if isinstance(turns, str) else kind_of(turns)
        raise InputError(
            f"{row.where}: {column!r} is {what}; it must be a list of {{role, content}} objects."
        )
    system = optional_text(row, "system")
    head = [{"role": "system", "content": system}] if system else []
    messages = conversation([*head, *turns], row.where, ignore)
    return Draft(messages, **_common(row), fields_not_read=fields_not_read(turns))


def _from_single(row: Row, names: _SingleTurn) -> Draft:
    asked = _named(row, names.query) or names.query[0]
    query = text_of(row, asked)
    answered = _named(row, names.response)
    if answered is None:
        _check_no_slip(row, names.response, (*names.query, *names.addition, *_COMMON))
    response = None if answered is None else text_of(row, answered)
    addition = _addition(row, names.addition)
    whole = f"{query}\n\n{addition}" if addition else query
    past = _history(row, names.history) if names.history else []
    return _dialogue(row, [*past, (whole, response)], optional_text(row, "system"), **_common(row))


def _named(row: Row, names: tuple[str, ...]) -> str | None:
    """Which of ``names`` the row has; a mapped one wins; InputError if two could be meant."""
    mapped = row.fields.mapped if isinstance(row.fields, _Mapped) else frozenset()
    there = [name for name in names if name in mapped] or [name for name in names if name in row.fields]
    if len(there) > 1:
        raise _either(row, there, names[0])
    return there[0] if there else None


def _addition(row: Row, names: tuple[str, ...]) -> str | None:
    """The text that follows the instruction; InputError if two columns hold one."""
    mapped = row.fields.mapped if isinstance(row.fields, _Mapped) else frozenset()
    names = tuple(name for name in names if name in mapped) or names
    filled = {name: text for name in names if (text := optional_text(row, name))}
    if len(filled) > 1:
        raise _either(row, list(filled), names[0])
    return next(iter(filled.values()), None)


def _either(row: Row, there: list[str], canonical: str) -> InputError:
    return InputError(
        f"{row.where}: {' and '.join(map(repr, there))} could both be the {canonical}. "
        f"Say which: columns {{{canonical}: {there[-1]}}}."
    )


def _history(row: Row, column: str) -> list[tuple[str, str | None]]:
    """Earlier turns: ``[["When does it open?", "At nine."], ...]``."""
    value = row.fields.get(column) or []
    where = f"{row.where}: {column!r}"
    if not isinstance(value, list):
        raise InputError(f"{where} is {kind_of(value)}; it must be a list of [question, answer] pairs.")
    pairs: list[tuple[str, str | None]] = []
    for number, pair in enumerate(value, start=1):
        if not isinstance(pair, list) or len(pair) != 2:
            raise InputError(f"{where}: entry {number} is {kind_of(pair)}; it must be [question, answer].")
        question, answer = (plain_text(text, f"{where}: entry {number}") for text in pair)
        pairs.append((question, answer))
    return pairs


def _check_no_slip(row: Row, wanted: tuple[str, ...], used: tuple[str, ...]) -> None:
    """No response column is fine for prompts to test with; a misspelt one is not."""
    others = [name for name in row.fields if name not in used and "_" not in name]  # answer_key is not a slip
    near = next((n for name in wanted if (n := nearest(name, others, 0.75))), None)
    if near is not None:
        raise InputError(
            f"{row.where}: no column {wanted[0]!r}, but {near!r}. If that is the response, map it: "
            f"columns {{{wanted[0]}: {near}}}; otherwise rename it."
        )


def _common(row: Row) -> dict[str, Any]:
    metadata = row.fields.get("metadata") or {}
    if not isinstance(metadata, Mapping):
        raise InputError(f"{row.where}: 'metadata' is {kind_of(metadata)}; it must be an object.")
    checked = checked_value(dict(metadata), f"{row.where}: 'metadata'")
    return {"cluster": optional_text(row, "cluster"), "metadata": checked}


def _detected(row: Row) -> str:
    for name, column in _TURNS.items():
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
    raise InputError(f"{row.where}: no format has these columns. {_columns_of(row)} {_advice(row)}")


_PROMPT_LIKE = [
    *("input", "text", "problem", "goal", "behavior", "request", "user", "human"),
    *("dialogue", "article", "document", "source", "title"),
]
_RESPONSE_LIKE = ["output", "target", "solution", "summary", "assistant", "gpt", "label"]


HEADER_NAMES = frozenset({*known_columns(None), *_PROMPT_LIKE, *_RESPONSE_LIKE, "category", "type", "label"})
"""Names that make the first line of a CSV file a header."""


def _advice(row: Row) -> str:
    """What to do with columns that no format has; a mapping here is one that reads the file."""
    if {"role", "content"} <= set(row.fields) or {"from", "value"} <= set(row.fields):
        return 'A row holds one turn; it must hold a conversation: {"messages": [{role, content}, ...]}.'
    turns = next((name for name, value in row.fields.items() if _holds_turns(value)), None)
    if turns is not None:
        said = f"columns {{messages: {one_line(turns, 60)}}}"
        return f"If {quoted(turns, 60)} is the conversation, map it: {said}."
    texts = [name for name, value in row.fields.items() if isinstance(value, str) and name not in _COMMON]
    if not texts:
        return "None of them holds text. Formats: " + ", ".join(FORMATS) + "."
    answers = [name for single in _SINGLE.values() for name in single.response] + _RESPONSE_LIKE
    asks = [name for single in _SINGLE.values() for name in single.query] + _PROMPT_LIKE
    query = _like(asks, [name for name in texts if name not in answers]) or texts[0]
    response = _like(answers, [name for name in texts if name != query])
    mapping = {"prompt": query, **({"completion": response} if response else {})}
    return (
        "Say which column is the prompt and which the response, such as columns "
        f"{{{', '.join(f'{ours}: {one_line(theirs, 60)}' for ours, theirs in mapping.items())}}}. "
        f"Formats: {', '.join(FORMATS)}."
    )


def _holds_turns(value: Any) -> bool:
    """Whether a value is a conversation: a list of turns with role and content, or from and value."""
    first = value[0] if isinstance(value, list) and value else None
    names = set(first) if isinstance(first, Mapping) else set()
    return {"role", "content"} <= names or {"from", "value"} <= names


def _like(wanted: Iterable[str], names: list[str]) -> str | None:
    """The name that is one of ``wanted``, or else resembles one of them."""
    lower = {name.lower(): name for name in names}
    exact = next((lower[name] for name in wanted if name in lower), None)
    return exact or next((near for name in wanted if (near := nearest(name, names))), None)


def _columns_of(row: Row) -> str:
    return f"The columns are: {listed(row.fields) or 'none'}."
