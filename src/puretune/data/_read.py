"""From a source's description to its examples: named source, entry point, file, hub id, in this order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from puretune.data._draw import Drawn, draw
from puretune.data._example import Example
from puretune.data._files import SUFFIXES, Row, read_rows
from puretune.data._formats import Converter, converter, rename, required
from puretune.data._hub import hub_rows, is_hub_id
from puretune.data._locate import files_of
from puretune.data._source import Source, SourceSpec
from puretune.data.sources import NAMED_SOURCES, NamedSource
from puretune.errors import EnvironmentFault, InputError, unknown

ENTRY_POINTS = "puretune.sources"
"""Entry-point group in which packages offer sources of their own; the value is a :data:`Source`."""

OnProblem = Callable[[InputError], None]
"""What happens with a row that is no example."""


def read_source(spec: SourceSpec, model: Path | None = None) -> tuple[Example, ...]:
    """The examples that ``spec`` describes: read, without duplicates, cut, sampled.

    ``model`` is the directory of the study's base model, for sources that depend on it. InputError (file and
    line where there is one) for bad data; EnvironmentFault where hub data cannot be had.
    """
    return draw_source(spec, model).examples


def draw_source(spec: SourceSpec, model: Path | None = None) -> Drawn:
    """As :func:`read_source`, with the counts of what was left out; InputError where nothing is left."""
    drawn = draw(read_examples(spec, model), spec)
    if not drawn.examples:
        side = f" on the {spec.split} side of the hold-out" if spec.hold_out else ""
        raise InputError(f"{spec.path or spec.source}: no examples{side}. Give a file that has some.")
    return drawn


def read_examples(
    spec: SourceSpec, model: Path | None = None, on_problem: OnProblem | None = None
) -> Iterator[Example]:
    """All examples of a source, in their order, before any draw.

    A row that is no example raises its InputError, or goes to ``on_problem`` and is passed over.
    """
    named = NAMED_SOURCES.get(spec.source)
    if named is not None:
        return _named_examples(named, spec, on_problem)
    offered = offered_sources()
    if spec.source in offered:
        _check_plain(spec, "a source of its own reading")
        return iter(_load(offered[spec.source])(spec, model))
    return _unnamed_examples(spec, offered, on_problem)


def offered_sources() -> dict[str, Any]:
    """Sources that installed packages offer: name -> entry point (not loaded)."""
    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


def _named_examples(named: NamedSource, spec: SourceSpec, on_problem: OnProblem | None) -> Iterator[Example]:
    _check_plain(spec, f"the named source {named.name}")
    split = _base_split(named, spec)
    config = spec.config or named.config
    stored, known = ("train", ("train",)) if named.split_column else (split, tuple(named.splits))
    if spec.path is not None:
        files = files_of(Path(spec.path).expanduser(), named.name, stored, config, known)
        rows = _rows_of(files, named.headerless)
    elif named.hub is not None:
        rows = hub_rows(named.hub, config, stored, spec.revision)
    else:
        raise InputError(
            f"{named.name} is read from a file: get it from {named.home} ({named.what}; licence: "
            f"{named.licence}) and name it with `path:`."
        )
    renamed: Iterator[Row] = (rename(row, spec.columns, named.fields) for row in rows)
    if named.split_column:
        renamed = _of_split(renamed, named, named.split_column, split)
    return _examples(renamed, named.convert, f"{named.name}-{split}", named.id_field, on_problem)


def _of_split(rows: Iterable[Row], named: NamedSource, column: str, split: str) -> Iterator[Row]:
    """The rows that say they are of this split; InputError for one that names none."""
    for row in rows:
        required(row, column)
        if row.fields[column] not in named.splits:
            raise unknown("split", str(row.fields[column]), named.splits, where=f"{row.where}: {column!r}")
        if row.fields[column] == split:
            yield row


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


def _unnamed_examples(
    spec: SourceSpec, offered: Iterable[str], on_problem: OnProblem | None
) -> Iterator[Example]:
    if spec.path is not None:
        raise InputError(
            f"{spec.source} is not a named source, so `path:` means nothing: name the file as `source:`."
        )
    path = Path(spec.source).expanduser()
    if path.exists() or path.suffix.lower() in SUFFIXES:
        files = _users_files(path, spec)
        return _detected(_rows_of(files), spec, path.stem, on_problem)
    if is_hub_id(spec.source):
        split = "train" if spec.hold_out else spec.split
        rows = hub_rows(spec.source, spec.config, split, spec.revision)
        prefix = spec.source.rpartition("/")[2] + (f"-{split}" if split else "")
        return _detected(rows, spec, prefix, on_problem)
    error = unknown("source", spec.source, [*NAMED_SOURCES, *offered])
    raise InputError(f"{error} A file's name ends in {', '.join(sorted(SUFFIXES))}; a hub id is owner/name.")


def _users_files(path: Path, spec: SourceSpec) -> list[Path]:
    split = None if spec.hold_out else spec.split
    if path.is_dir():
        return files_of(path, path.name, split, spec.config, ("train", "validation", "test"))
    if split is not None:
        raise InputError(
            f"{path} is one file without splits, but split {split!r} is asked for. Leave split out, or let "
            "hold_out: SHARE cut the file into train and test."
        )
    return [path]


def _rows_of(files: Iterable[Path], headerless: str | None = None) -> Iterator[Row]:
    """The rows of several files as of one."""
    number = 0
    for path in files:
        for row in read_rows(path, headerless):
            number += 1
            yield Row(row.where, number, row.fields)


def _detected(
    rows: Iterator[Row], spec: SourceSpec, prefix: str, on_problem: OnProblem | None
) -> Iterator[Example]:
    """Examples from rows whose format the first one shows (or the spec names)."""
    first = next(rows, None)
    if first is None:
        return
    convert = converter(first, spec.format, spec.columns)
    id_field = None if "id" in spec.columns.values() else "id"
    id_field = spec.columns.get("id", id_field)

    def all_rows() -> Iterator[Row]:
        yield first
        yield from rows

    yield from _examples(all_rows(), convert, prefix, id_field, on_problem)


def _examples(
    rows: Iterable[Row], convert: Converter, prefix: str, id_field: str | None, on_problem: OnProblem | None
) -> Iterator[Example]:
    places: dict[str, str] = {}
    for row in rows:
        try:
            draft = convert(row)
            id = _own_id(row, id_field) or f"{prefix}-{row.number}"
            if id in places:
                raise InputError(
                    f"{row.where}: id {id!r} stands already in {places[id]}. Ids must differ; rename one, or "
                    "drop the id column to have rows numbered."
                )
        except InputError as problem:
            if on_problem is None:
                raise
            on_problem(problem)
            continue
        places[id] = row.where
        yield Example(id, draft.messages, draft.cluster, draft.metadata)


def _own_id(row: Row, field: str | None) -> str | None:
    value = row.fields.get(field) if field else None
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InputError(f"{row.where}: id is {type(value).__name__}; it must be text or a whole number.")
    return str(value)


def _check_plain(spec: SourceSpec, what: str) -> None:
    if spec.format is not None:
        raise InputError(f"{spec.source}: {what} has a fixed format; leave `format` out.")


def _load(point: Any) -> Source:
    try:
        source: Source = point.load()
    except Exception as error:  # another package's code: anything may happen while it is imported
        raise EnvironmentFault(
            f"source {point.name!r} ({point.value}) cannot be loaded: {error}. "
            "Reinstall the package that offers it."
        ) from error
    return source
