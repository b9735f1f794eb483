"""Names in messages: the nearest known one, and lists of them, cut and safe to show."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from puretune.visible import one_line

_MOST_CANDIDATES, _LONGEST_NAME, _MOST_SHOWN = 200, 60, 20


def nearest(name: str, candidates: Iterable[Any], cutoff: float = 0.6) -> str | None:
    """The candidate that ``name`` most resembles; long or very many candidates are not compared."""
    names = [str(one) for one in candidates if len(str(one)) <= _LONGEST_NAME][:_MOST_CANDIDATES]
    found = difflib.get_close_matches(str(name)[:_LONGEST_NAME], names, 1, cutoff)
    return found[0] if found else None


def listed(names: Iterable[Any], most: int = _MOST_SHOWN) -> str:
    """Names for a message: the first ``most``, each cut to sixty characters and safe to show."""
    shown = [one_line(name, _LONGEST_NAME) for name in names]
    more = f", ... ({len(shown):,} in all)" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more


def ranges(numbers: Iterable[int], most: int = 12) -> str:
    """Numbers in order for a message: ``1-3, 7, 9-12 and 40 more``."""
    spans: list[list[int]] = []
    for number in sorted(set(numbers)):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    shown = [str(low) if low == high else f"{low}-{high}" for low, high in spans[:most]]
    rest = sum(high - low + 1 for low, high in spans[most:])
    return ", ".join(shown) + (f" and {rest:,} more" if rest else "")


def spoken_time(seconds: float) -> str:
    """``40 s``, ``25 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
