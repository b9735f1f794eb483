"""Values that somebody wrote about an endpoint: numbers with bounds, names that can be shown."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from puretune.errors import InputError
from puretune.visible import one_line, visible

LONGEST_NAME = 200
"""Characters of a model's name."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def check_range(where: str, value: Any, low: float, high: float, whole: bool = False) -> None:
    """InputError, opening with ``where``, unless ``value`` is a number from ``low`` to ``high``."""
    kind = "a whole number" if whole else "a number"
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise InputError(f"{where}: {one_line(repr(value), 60)} is not {kind}. Give {kind}.")
    if not low <= value <= high or (isinstance(value, float) and not math.isfinite(value)):
        raise InputError(
            f"{where}: {one_line(repr(value), 60)} is out of range. Give a value from {low:g} to {high:g}."
        )


def check_ranges(where: str, value: Any, ranges: Mapping[str, tuple[float, float]]) -> None:
    """:func:`check_range` for attributes that are not None; bounds that are ints ask for whole numbers."""
    for name, (low, high) in ranges.items():
        given = getattr(value, name)
        if given is not None:
            check_range(f"{where}{name}", given, low, high, whole=isinstance(low, int))


def check_name(where: str, name: str) -> None:
    """InputError for a name that is empty, too long, or has characters in it that cannot be seen."""
    if not name.strip():
        raise InputError(f"{where}: the name is empty.")
    if len(name) > LONGEST_NAME:
        raise InputError(f"{where}: a name of {len(name):,} characters is too long (at most {LONGEST_NAME}).")
    if visible(name, kept="") != name:
        raise InputError(
            f"{where}: '{one_line(name)}' has characters that cannot be shown. Write a plain name."
        )


def check_variable(where: str, name: str | None) -> None:
    """InputError if ``name`` is not an environment variable's name. It is not shown: it may be a key."""
    if name is not None and not _VARIABLE.fullmatch(name):
        raise InputError(
            f"{where}: not the name of an environment variable. Write the variable's name "
            "(OPENAI_API_KEY), never the key itself."
        )


def check_fields(where: str, fields: Mapping[str, Any], own: frozenset[str]) -> None:
    """InputError for further fields of a request that have a setting already, or that JSON cannot hold."""
    clash = sorted(own & fields.keys())
    if clash:
        raise InputError(f"{where}: {clash[0]!r} cannot be set here. Use the setting for it.")
    for name, value in fields.items():
        if not _sendable(value):
            raise InputError(
                f"{where}.{one_line(name)}: not a value that JSON can hold (NaN, infinity, ...)."
            )


def _sendable(value: Any) -> bool:
    import json

    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        return False
    return True
