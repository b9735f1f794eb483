"""Numbers and counts in words: one way to write each, in every report."""

from __future__ import annotations

import re
from collections.abc import Iterable

_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def percent(value: float | None) -> str:
    """A share as a percentage with one decimal, without the sign; ``n/a`` if there is none."""
    return "n/a" if value is None else f"{100 * value:.1f}"


def span(low: float | None, high: float | None, dash: str = " to ") -> str:
    """The two ends of an interval in per cent, or nothing if there is no interval."""
    return "" if low is None or high is None else f"{percent(low)}{dash}{percent(high)}"


def points(value: float) -> str:
    """A difference of shares in percentage points with its sign, ``+17.1``."""
    return f"{100 * value:+.1f}"


def plural(count: int, noun: str) -> str:
    """``1 seed``, ``3 seeds``, ``1,200 answers``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def bounds(counts: Iterable[int]) -> str:
    """``100``, or ``100 to 300`` where the counts differ."""
    low, high = min(values := list(counts)), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def listed(items: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    *head, last = list(items)
    return f"{', '.join(head)} and {last}" if head else last


def visible(text: str) -> str:
    """The text with control characters and lone surrogates made visible: any model output is fit."""
    return _UNSEEN.sub(_shown, text)


def _shown(match: re.Match[str]) -> str:
    code = ord(match.group())
    return chr(0x2400 + code) if code < 32 else "\N{REPLACEMENT CHARACTER}"
