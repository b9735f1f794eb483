"""What puretune knows of a data set that it has a name for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from puretune.data._formats import Converter


@dataclass(frozen=True)
class NamedSource:
    """One known data set: where it is, what is in it, and how a row of it becomes an example."""

    name: str
    what: str
    """One line for people."""
    licence: str
    home: str
    """Where a person finds it."""
    hub: str | None
    """The hub id; None: it is read from a path only."""
    splits: Mapping[str, int | None]
    """Split -> published number of rows (None: not known), the usual one first."""
    fields: tuple[str, ...]
    """The columns that are read."""
    convert: Converter
    config: str | None = None
    """The hub configuration, unless the spec names another."""
    id_field: str | None = None
    """The column with ids; None: ids are ``NAME-SPLIT-ROW``."""
    split_column: str | None = None
    """The column that says a row's split, where the hub has all rows in one (``train``)."""
    headerless: str | None = None
    """The column's name where a one-column CSV file comes without a header line."""
    packaged: Path | None = None
    """The file that comes with puretune, read unless the spec names a path."""
    known: tuple[str, ...] = ()
    """Columns of the published files that are left unread on purpose."""
