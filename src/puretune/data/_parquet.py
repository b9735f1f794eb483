"""Parquet files as rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from puretune.data._csv import CsvLayout
from puretune.data._row import OnProblem, Row
from puretune.errors import EnvironmentFault, InputError
from puretune.visible import one_line, quoted, visible


def parquet_rows(path: Path, layout: CsvLayout, on_problem: OnProblem) -> Iterator[Row]:
    """The rows of a Parquet file; InputError if it is not one, EnvironmentFault without pyarrow."""
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise EnvironmentFault(
            f"{visible(path)}: reading Parquet needs pyarrow. Install it: pip install 'puretune[data]'."
        ) from error
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            _check_names(file.schema_arrow.names, path)
            for batch in file.iter_batches(batch_size=4096):
                for fields in batch.to_pylist():
                    number += 1
                    yield Row(f"{visible(path.name)}, row {number}", number, fields)
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError, TypeError) as error:
        raise InputError(f"{visible(path)}: not a readable Parquet file: {one_line(error)}") from error


def _check_names(names: list[str], path: Path) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{visible(path)}: two columns are called {quoted(twice)}. Rename one of them.")
