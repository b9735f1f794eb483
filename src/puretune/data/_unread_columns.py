"""What a source holds that is not read: columns and message fields with content.

A column under a name that the format does not know may belong to the prompt (``context``), or say how a row
is to be used (``label``, ``weight``). Nothing of that is dropped unnoticed: it is counted, and a study that
uses the source must map it or list it under ``ignore``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from puretune.data._formats import Draft
from puretune.data._row import Row, WatchedFields, is_empty
from puretune.errors import InputError
from puretune.visible import quoted

SAYS_NOTHING = frozenset(
    {
        "", "id", "_id", "ids", "idx", "index", "uid", "uuid", "guid", "row", "row_id", "row_number", "line",
        "prompt_id", "question_id", "conversation_id", "example_id", "sample_id", "unnamed: 0",
        "__index_level_0__", "source", "dataset", "dataset_name", "split", "url", "license", "licence",
        "author", "created_at", "updated_at", "timestamp", "date",
    }
)  # fmt: skip
"""Columns that only say which row this is, or where and when it was made: a study may leave them unread."""

_MOST_NAMES, _MOST_SHOWN = 1000, 8
_PLAIN = re.compile(r"[A-Za-z_][\w.-]*")


@dataclass
class NotRead:
    """Names that say something in at least one row and were not read; how often, and where first."""

    columns: dict[str, int] = field(default_factory=dict)
    fields: dict[str, int] = field(default_factory=dict)
    """Of messages, not of rows; counted once a row."""
    first: dict[str, str] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    """The file's columns that were read."""
    rows: int = 0
    """Rows that could be parsed, whether they make an example or not."""
    known: frozenset[str] = frozenset()
    """Columns of a named source that are left unread on purpose."""

    def note(self, row: Row, renamed: Row, columns: Mapping[str, str], draft: Draft) -> None:
        """Take down what one row holds and its draft does not use."""
        assert isinstance(renamed.fields, WatchedFields)
        read = {columns.get(name, name) for name in renamed.fields.names_read}
        self.used |= read & row.fields.keys()
        left = (n for n, value in row.fields.items() if n not in read and not is_empty(value))
        self._count(self.columns, left, row.where)
        self._count(self.fields, draft.fields_not_read, row.where)

    def _count(self, counts: dict[str, int], names: Iterable[str], where: str) -> None:
        for name in names:
            if name in counts or len(counts) < _MOST_NAMES:
                counts[name] = counts.get(name, 0) + 1
                self.first.setdefault(name, where)

    def must_be_said(self, ignore: Collection[str]) -> list[str]:
        """Names that a study has to map or to ignore."""
        passed = {*ignore, *self.known}
        columns = [n for n in self.columns if n not in passed and n.strip().lower() not in SAYS_NOTHING]
        return list(dict.fromkeys([*columns, *(name for name in self.fields if name not in passed)]))

    def told(self, name: str) -> str:
        """``'context' (column, 12 rows)``."""
        parts = [("column", self.columns.get(name)), ("message field", self.fields.get(name))]
        said = ", ".join(f"{kind}, {rows:,} row{'s'[: rows > 1]}" for kind, rows in parts if rows)
        return f"{quoted(name, 60)} ({said})"


def check_all_read(found: NotRead, own: Collection[str], ignore: Collection[str]) -> None:
    """InputError for what says something and is not read, ``ignore`` aside, and for what the source's ``own``
    list wants ignored and is read.
    """
    used = [name for name in own if name in found.used and name not in found.columns]
    if used:
        raise InputError(
            f"`ignore` names {quoted(used[0], 60)}, which is read here. Remove it from the list."
        )
    names = found.must_be_said({*own, *ignore})
    if names:
        told = ", ".join(found.told(name) for name in names[:_MOST_SHOWN])
        more = f" and {len(names) - _MOST_SHOWN:,} more" if len(names) > _MOST_SHOWN else ""
        raise InputError(
            f"{found.first[names[0]]}: not read: {told}{more}. {_use(names)}"
            f"List what does not matter with the source: `ignore: {yaml_list(names[:_MOST_SHOWN])}`."
        )


def _use(names: Collection[str]) -> str:
    if "context" in names:
        return (
            "A text that the question is about is read by `format: alpaca` with "
            "`columns: {instruction: question, input: context, output: answer}`. "
        )
    return "Map what belongs to the prompt or the response with `columns`. "


def yaml_list(names: Iterable[str]) -> str:
    """``[context, "odd, name"]``: names as YAML reads them."""
    return f"[{', '.join(name if _PLAIN.fullmatch(name) else json.dumps(name) for name in names)}]"
