"""JSON as it is written here: UTF-8, one form for every character, nothing that a reader stumbles over."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

_ESCAPED = {code: f"\\u{code:04x}" for code in (0x85, 0x2028, 0x2029, *range(0xD800, 0xE000))}
"""What some readers take for a line's end, and halves of character pairs, which UTF-8 cannot say."""


def json_text(value: Any, indent: int | None = None) -> str:
    """A value as JSON text that any value read from JSON survives, halves of character pairs too.

    ValueError for NaN and infinities.
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent).translate(_ESCAPED)


def json_lines(rows: Iterable[Mapping[str, Any]]) -> str:
    """JSON lines, one object a line."""
    return "".join(json_text(row) + "\n" for row in rows)
