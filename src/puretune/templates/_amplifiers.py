"""Operations, methods and filters whose result can be much larger than what goes in, checked before they run.

Everything else that a chat template can do makes values of about the size of those that it has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from puretune.templates._budget import Exceeded, current, length, measure

_WIDEST = 10_000
"""The largest width or count that may be asked for."""
_MOST_BITS = 10_000
_WIDE_FORMAT = re.compile(r"\d{4,}|\*|\{[^{}]*\{")
"""A width of four digits or more, or one that is computed."""


def check_operation(operator: str, left: Any, right: Any) -> None:
    """Exceeded for an operation whose result would be too large."""
    if operator == "*":
        _check_product(left, right)
    elif operator == "**" and isinstance(left, int) and isinstance(right, int):
        _require(left.bit_length() * max(right, 0), _MOST_BITS)
    elif operator == "%" and isinstance(left, str | bytes):
        _check_format(left if isinstance(left, str) else left.decode("latin-1"), [right])


def check_call(name: str, owner: Any, arguments: Sequence[Any], named: Mapping[str, Any]) -> None:
    """Exceeded for a method or filter whose result would be too large; ``owner`` is what it works on."""
    given = [*arguments, *named.values()]
    if name in _WITH_A_WIDTH:
        _require(max((abs(n) for n in given if isinstance(n, int)), default=0), _WIDEST)
    elif name in _PREDICTED:
        _require(_PREDICTED[name](owner, given), current().largest)
    elif name in ("format", "format_map"):
        _check_format(str(owner), given)
    elif name == "sum" and any(not isinstance(value, int | float | str) for value in given):
        raise Exceeded("it adds up lists")


_WITH_A_WIDTH = ("center", "ljust", "rjust", "zfill", "to_bytes", "batch", "slice", "round")


def _check_product(left: Any, right: Any) -> None:
    for value, times in ((left, right), (right, left)):
        if isinstance(times, int) and not isinstance(value, int | float):
            _require(_size(value) * max(times, 0), current().largest)
    if isinstance(left, int) and isinstance(right, int):
        _require(left.bit_length() + right.bit_length(), _MOST_BITS)


def _check_format(pattern: str, values: Sequence[Any]) -> None:
    if _WIDE_FORMAT.search(pattern):
        raise Exceeded("it formats with a width of four digits or more")
    fields = pattern.count("%") + pattern.count("{")
    _require(fields * _size(list(values)), current().largest)


def _replaced(owner: Any, given: Sequence[Any]) -> int:
    old, new = (*given[:2], "", "")[:2]
    times = owner.count(old) if isinstance(owner, str) and isinstance(old, str) else _size(owner)
    return _size(owner) + (times + 1) * _size(new)


def _joined(owner: Any, given: Sequence[Any]) -> int:
    """``glue.join(parts)`` and ``parts | join(glue)``."""
    glue, parts = (owner, given[:1]) if isinstance(owner, str | bytes) and given else (list(given), [owner])
    return _size(list(parts)) + _size(glue) * sum(length(part) for part in parts)


def _indented(owner: Any, given: Sequence[Any]) -> int:
    breaks = owner.count("\n") + owner.count("\t") + 1 if isinstance(owner, str) else _size(owner)
    return _size(owner) + breaks * _widest(given)


def _as_json(owner: Any, given: Sequence[Any]) -> int:
    found = measure(owner, current().largest)
    return found.size + found.items * found.depth * (_widest(given) if given else 0)


def _translated(owner: Any, given: Sequence[Any]) -> int:
    return _size(owner) * _size(list(given))


def _widest(given: Sequence[Any]) -> int:
    return max([8, *(abs(value) if isinstance(value, int) else _size(value) for value in given)])


_PREDICTED: dict[str, Callable[[Any, Sequence[Any]], int]] = {
    "replace": _replaced,
    "join": _joined,
    "expandtabs": _indented,
    "indent": _indented,
    "tojson": _as_json,
    "translate": _translated,
}


def _size(value: Any) -> int:
    return measure(value, current().largest).size


def _require(size: int, most: int) -> None:
    if size > most:
        raise Exceeded(f"it makes a value of more than {most:,} characters, items or bits")
