"""Options that somebody wrote, as the frozen dataclass that has them as fields."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from puretune.errors import InputError, unknown
from puretune.visible import one_line

_Kind = TypeVar("_Kind")


def validated(
    kind: type[_Kind], given: Mapping[str, Any], where: str, word: str = "option", also: tuple[str, ...] = ()
) -> _Kind:
    """``kind`` with the fields that ``given`` names; a field ``with_`` is the option ``with``.

    InputError, opening with ``where``, for an unknown name (``also``: further names to suggest) and for a
    value of another type: ``true`` and ``"8"`` are not numbers. Ranges are the dataclass's own to check.
    """
    from pydantic import TypeAdapter, ValidationError

    known = {one.name.removesuffix("_"): one.name for one in fields(kind)}  # type: ignore[arg-type]
    for name in given:
        if name not in known:
            raise unknown(word, name, [*known, *also], where)
    given = {known[name]: value for name, value in given.items()}
    try:
        return TypeAdapter(kind).validate_json(_as_json(given, where), strict=True)
    except ValidationError as error:
        raise InputError(f"{where}: {_first(error)}.") from None


def _as_json(given: Mapping[str, Any], where: str) -> str:
    try:
        return json.dumps(dict(given), default=_plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{where}: not plain values: {one_line(error)}.") from None


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not text, a number, a list or a mapping")


def _first(error: Any) -> str:
    first = error.errors(include_url=False)[0]
    place = ".".join(one_line(part, 60).removesuffix("_") for part in first["loc"])
    if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"unknown key {place!r}"
    said = first["msg"].removeprefix("Input ").removesuffix(".")
    if first["type"] in ("missing", "json_invalid"):
        return f"{place}: {said}" if place else said
    return f"{place}: {said} (given: {one_line(repr(first['input']), 80)})"
