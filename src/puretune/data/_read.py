"""From a source's description to its examples: named source, entry point, file, hub id, in this order."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from puretune.data._csv import CsvLayout
from puretune.data._example import Example
from puretune.data._files import PACKED, SUFFIXES, read_rows
from puretune.data._formats import HEADER_NAMES, Converter, format_of, known_columns, rename, required
from puretune.data._hub import hub_rows, is_hub_id
from puretune.data._markup import check_no_markup, marks_in, special_tokens
from puretune.data._messages import checked_characters
from puretune.data._row import OnProblem, Row, present_file, strict
from puretune.data._sampling import Drawn, draw
from puretune.data._source import READING, SETTINGS_READ, Source, SourceSpec
from puretune.data._split_files import files_of
from puretune.data._unread_columns import NotRead, check_all_read
from puretune.data.sources import NAMED_SOURCES, NamedSource
from puretune.errors import InputError, unknown
from puretune.files import checked_path, kind_of
from puretune.plugins import Plugins
from puretune.visible import one_line, quoted, visible

SOURCES: Plugins[NamedSource | Source] = Plugins("puretune.sources", "source", NAMED_SOURCES)
"""Those that installed packages offer are each a :data:`Source`."""


def read_source(
    spec: SourceSpec, model: Path | None = None, ignore: Collection[str] = ()
) -> tuple[Example, ...]:
    """The examples that ``spec`` describes, fit for use: read, without duplicates, cut, sampled.

    ``model`` is the directory of the study's base model, for sources that depend on it and for its special
    tokens; ``ignore`` adds to the spec's own list. InputError (file and line if there is one) for bad
    data, for columns and message fields that say something and are not read, and for texts with turn markup;
    EnvironmentFault if hub data is not available.
    """
    drawn = draw_source(spec, model, ignore)
    check_all_read(drawn.not_read, spec.ignore, ignore)
    if spec.markup == "refuse":
        check_no_markup(drawn.marks)
    return drawn.examples


def draw_source(spec: SourceSpec, model: Path | None = None, ignore: Collection[str] = ()) -> Drawn:
    """As :func:`read_source`, with what was left out and what is unusual, neither of which is refused here;
    InputError if nothing is left.
    """
    not_read = NotRead()
    drawn = draw(read_examples(spec, model, not_read=not_read, ignore=ignore), spec)
    if not drawn.examples:
        side = f" on the {spec.split} side of the hold-out" if spec.hold_out else ""
        raise InputError(f"{_shown(spec)}: no examples{side}. Give a file that has some.")
    return replace(drawn, not_read=not_read, marks=marks_in(drawn.examples, special_tokens(model)))


def read_examples(
    spec: SourceSpec,
    model: Path | None = None,
    on_problem: OnProblem | None = None,
    not_read: NotRead | None = None,
    ignore: Collection[str] = (),
) -> Iterator[Example]:
    """All examples of a source, in their order, before any draw.

    A row that cannot be read raises its InputError, or goes to ``on_problem`` and is passed over.
    ``not_read`` takes down what rows hold beyond what is used; ``ignore`` adds to the spec's own list.
    InputError for a setting that the source does not read.
    """
    if spec.source in SOURCES.offered():
        source = cast(Source, SOURCES.load(spec.source))
        _check_settings(spec, {"split", *getattr(source, SETTINGS_READ, ())}, f"the source {spec.source}")
        return iter(source(spec, model))
    named = NAMED_SOURCES.get(spec.source)
    handler, tally = on_problem or strict, not_read if not_read is not None else NotRead()
    table = _named_table(named, spec, handler) if named else _unnamed_table(spec, handler)
    return _examples(table, spec, handler, tally, {*spec.ignore, *ignore})


def is_local(spec: SourceSpec) -> bool:
    """Whether a source is read from this machine, not from the hub."""
    named = NAMED_SOURCES.get(spec.source)
    if named is not None:
        return spec.path is not None or named.hub is None
    return not is_hub_id(spec.source) or _is_path(spec.source, checked_path(spec.source, "source"))


@dataclass(frozen=True)
class _Table:
    """Rows of one source and how they become examples."""

    rows: Iterator[Row]
    prefix: str
    """Rows without ids are called ``PREFIX-NUMBER``."""
    convert: Converter | None
    """None: the first row shows the format (or the spec names it)."""
    names: tuple[str, ...]
    """Canonical columns that may be mapped."""
    id_field: str | None = "id"
    belongs: Callable[[Row], bool] = lambda row: True
    """Whether a row is of the split that is read."""
    known: frozenset[str] = frozenset()
    """Columns that are left unread on purpose."""
    sole: str = "prompt"
    """What the only column of a file without a header line is."""


def _named_table(named: NamedSource, spec: SourceSpec, on_problem: OnProblem) -> _Table:
    split = _base_split(named, spec)
    if spec.path is not None:
        reads = {"path", "split", "columns", "ignore", *_file_settings(checked_path(spec.path))}
        _check_settings(spec, reads, f"the named source {named.name} with a path")
        rows = _rows_of(_named_files(named, spec, split), _layout(spec, named), on_problem)
    elif named.packaged is not None:
        _check_settings(spec, {"split", "ignore"}, f"the source {named.name}")
        rows = read_rows(named.packaged)
    elif named.hub is not None:
        reads = {"split", "config", "revision", "columns", "ignore"}
        _check_settings(spec, reads, f"the named source {named.name}")
        rows = hub_rows(named.hub, spec.config or named.config, _stored(named, split), spec.revision)
    else:
        raise InputError(
            f"{named.name} is read from a file: get it from {named.home} ({named.what}; licence: "
            f"{named.licence}) and name it with `path:`."
        )
    return _Table(
        rows=rows,
        prefix=f"{named.name}-{split}",
        convert=named.convert,
        names=named.fields,
        id_field=named.id_field,
        belongs=lambda row: named.split_column is None or _split_of(row, named) == split,
        known=frozenset(named.known),
        sole=named.headerless or named.fields[0],
    )


def _named_files(named: NamedSource, spec: SourceSpec, split: str) -> list[Path]:
    known = ("train",) if named.split_column else tuple(named.splits)
    path = checked_path(spec.path or "", "path")
    if not path.is_dir():
        present_file(path)
    return files_of(path, named.name, _stored(named, split), spec.config, named.config, known)


def _stored(named: NamedSource, split: str) -> str:
    """The split under which the rows are stored."""
    return "train" if named.split_column else split


def _split_of(row: Row, named: NamedSource) -> str:
    """The split that a row says it is of; InputError for one that names none."""
    assert named.split_column is not None
    required(row, named.split_column)
    split = row.fields[named.split_column]
    if not isinstance(split, str) or split not in named.splits:
        where = f"{row.where}: {named.split_column!r}"
        raise unknown("split", split, named.splits, where=where)
    return split


def _base_split(named: NamedSource, spec: SourceSpec) -> str:
    """The data set's own split to read; with a hold-out, its only one is cut in two."""
    if spec.hold_out:
        if len(named.splits) > 1:
            raise InputError(
                f"{named.name} has its own splits ({', '.join(named.splits)}): leave hold_out out."
            )
        return next(iter(named.splits))
    split = spec.split or next(iter(named.splits))
    if split not in named.splits:
        error = unknown("split", split, named.splits, where=named.name)
        raise InputError(f"{error} With hold_out: SHARE, one split is cut into train and test.")
    return split


def _unnamed_table(spec: SourceSpec, on_problem: OnProblem) -> _Table:
    if spec.path is not None:
        raise InputError(
            f"{one_line(spec.source)} is not a named source, so it does not read `path`: "
            "name the file as `source:`."
        )
    names, path = known_columns(spec.format), checked_path(spec.source, "source")
    if _is_path(spec.source, path):
        reads = {"format", "columns", "ignore", "split", *_file_settings(path)}
        _check_settings(spec, reads, visible(path))
        rows = _rows_of(_users_files(path, spec), _layout(spec), on_problem)
        return _Table(rows, path.stem, None, names)
    if is_hub_id(spec.source):
        reads = {"format", "columns", "ignore", "split", "config", "revision"}
        _check_settings(spec, reads, f"the hub data set {spec.source}")
        split = "train" if spec.hold_out else spec.split
        rows = hub_rows(spec.source, spec.config, split, spec.revision)
        prefix = spec.source.rpartition("/")[2] + (f"-{split}" if split else "")
        return _Table(rows, prefix, None, names)
    error = unknown("source", spec.source, SOURCES.names())
    raise InputError(f"{error} A file's name ends in {', '.join(sorted(SUFFIXES))}; a hub id is owner/name.")


def _is_path(text: str, path: Path) -> bool:
    """Whether a source is meant as a file or a directory, whether it is there or not."""
    if text.startswith((".", "/", "~")) or path.suffix.lower() in (*SUFFIXES, *PACKED):
        return True
    return os.path.exists(path)  # noqa: PTH110 (Path.exists raises where a directory may not be read)


def _file_settings(path: Path) -> set[str]:
    """Which settings only some files have: a directory its configurations, a CSV file its layout."""
    if path.is_dir():
        return {"config", "header", "delimiter"}
    return {"header", "delimiter"} if path.suffix.lower() in (".csv", ".tsv") else set()


def _check_settings(spec: SourceSpec, reads: Collection[str], what: str) -> None:
    """InputError for a setting that was given and that the source does not read."""
    usual = SourceSpec(spec.source)
    for name in READING:
        value = getattr(spec, name)
        if name not in reads and value != getattr(usual, name):
            said = f" ({one_line(value, 60)})" if isinstance(value, str | Path) else ""
            raise InputError(f"{what} does not read `{name}`{said}. Leave it out.")


def _users_files(path: Path, spec: SourceSpec) -> list[Path]:
    split = None if spec.hold_out else spec.split
    if path.is_dir():
        return files_of(path, path.name, split, spec.config, None, ("train", "validation", "test"))
    if split is not None:
        raise InputError(
            f"{visible(path)} is one file without splits, but split {split!r} is asked for. Leave split out, "
            "or let hold_out: SHARE cut the file into train and test."
        )
    return [path]


def _layout(spec: SourceSpec, named: NamedSource | None = None) -> CsvLayout:
    known = {*HEADER_NAMES, *(named.fields if named else ()), *(named.known if named else ())}
    return CsvLayout(
        spec.header,
        "\t" if spec.delimiter == "tab" else spec.delimiter,
        known,
        named.headerless if named and not spec.columns else None,
    )


def _rows_of(files: Iterable[Path], layout: CsvLayout, on_problem: OnProblem) -> Iterator[Row]:
    """The rows of several files as of one."""
    number = 0
    for path in files:
        for row in read_rows(path, layout, on_problem):
            number += 1
            yield replace(row, number=number)


def _examples(
    table: _Table, spec: SourceSpec, on_problem: OnProblem, not_read: NotRead, ignore: Collection[str]
) -> Iterator[Example]:
    places: dict[str, str] = {}
    columns, convert = dict(spec.columns), table.convert
    not_read.known = table.known
    for number, row in enumerate(table.rows):
        not_read.rows += 1
        if number == 0:
            columns = columns or _columns_of_bare(row, spec, table.sole)
            first = rename(row, columns, table.names)
            convert = convert or format_of(first, spec.format, ignore)
        assert convert is not None
        try:
            renamed = rename(row, columns, table.names)
            if not table.belongs(renamed):
                continue
            draft = convert(renamed)
            id = _own_id(renamed, table.id_field) or f"{table.prefix}-{row.number}"
            _check_new(id, row, places)
        except InputError as problem:
            on_problem(problem)
            continue
        not_read.note(row, renamed, columns, draft)
        yield Example(id, draft.messages, draft.cluster, draft.metadata)


def _columns_of_bare(row: Row, spec: SourceSpec, sole: str) -> dict[str, str]:
    """The mapping of a file without a header line: its only column needs no word."""
    if spec.header is not False:
        return {}
    if len(row.fields) > 1:
        raise InputError(
            f"{row.where}: without a header line, say what the {len(row.fields)} columns are: "
            "`columns: {prompt: 1, completion: 2}`."
        )
    return {sole: "1"}


def _check_new(id: str, row: Row, places: dict[str, str]) -> None:
    if id in places:
        raise InputError(
            f"{row.where}: duplicate id {quoted(id, 60)}, first used in {places[id]}. Ids must differ; "
            "rename one, or drop the id column to have rows numbered."
        )
    places[id] = row.where


def _own_id(row: Row, field: str | None) -> str | None:
    value = row.fields.get(field) if field else None
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InputError(f"{row.where}: id is {kind_of(value)}; it must be text or a whole number.")
    return checked_characters(str(value), f"{row.where}: 'id'")


def _shown(spec: SourceSpec) -> str:
    return visible(spec.path or spec.source)
