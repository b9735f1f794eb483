"""Data sets of the Hugging Face hub as rows, through the ``datasets`` library."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from puretune.data._row import Row
from puretune.errors import EnvironmentFault, InputError, PuretuneError
from puretune.visible import one_line

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def is_hub_id(text: str) -> bool:
    """Whether ``text`` looks like ``owner/name``."""
    return _HUB_ID.fullmatch(text) is not None


def hub_rows(
    name: str, config: str | None = None, split: str | None = None, revision: str | None = None
) -> Iterator[Row]:
    """The rows of a hub data set, in their order, read as they are needed.

    InputError for a configuration or split it does not have; EnvironmentFault if it is not available: no
    ``datasets`` library, no network, no access.
    """
    data = _load(name, config, split, revision)
    number = 0
    try:
        for fields in data:
            number += 1
            yield Row(f"{name}, row {number}", number, fields)
    except PuretuneError:
        raise
    except Exception as error:  # decoding an image or a sound may need any library
        raise EnvironmentFault(
            f"hub data set {name}: row {number + 1} cannot be read: {_first_line(error)}"
        ) from error


def _load(name: str, config: str | None, split: str | None, revision: str | None) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise EnvironmentFault(
            f"{name}: hub data needs the datasets library. Install it (pip install 'puretune[data]'), or "
            "give a local copy: with `path:` for a named source, as `source:` otherwise."
        ) from error
    try:
        data = datasets.load_dataset(name, config, split=split, revision=revision)
    except (datasets.exceptions.DatasetNotFoundError, OSError) as error:
        raise _not_to_be_had(name, error) from error
    except ValueError as error:  # datasets' word for an unknown split or configuration
        raise InputError(f"hub data set {name}: {_first_line(error)}") from error
    except Exception as error:  # the hub's client raises its HTTP library's own errors
        raise _not_to_be_had(name, error) from error
    return _only_split(data, name) if split is None else data


def _only_split(data: Any, name: str) -> Any:
    if len(data) != 1:
        raise InputError(f"hub data set {name} has the splits {', '.join(data)}; say which with `split`.")
    return next(iter(data.values()))


def _not_to_be_had(name: str, error: Exception) -> EnvironmentFault:
    return EnvironmentFault(
        f"hub data set {name} is not available: {_first_line(error)} Without a network, or without access "
        "(a gated data set needs `hf auth login`), give a local copy: with `path:` for a named source, as "
        "`source:` otherwise."
    )


def _first_line(error: Exception) -> str:
    line = one_line((str(error).strip().splitlines() or [type(error).__name__])[0], 400)
    return line if line.endswith((".", "!", "?")) else line + "."
