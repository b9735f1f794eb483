"""Colours of the heat maps: one soft sequential scale per family, for light and for dark paper.

Teal for help and vermilion for harm stay apart for colour-blind readers; lightness alone carries the value,
and the ink stays readable (contrast at least 4.5) over a whole scale.
"""

from __future__ import annotations

from collections.abc import Iterable

from puretune.report._metrics import Family

INK = "#1d1c1a"
INK_DARK = "#f1eee8"
PAPER = "#fbfaf7"
PAPER_DARK = "#191a1c"

# Family -> the full end of the scale on (light, dark) paper; the empty end is the paper itself, nearly.
_FULL: dict[Family, tuple[str, str]] = {
    "help": ("#6fbfa9", "#1b6b58"),
    "harm": ("#f08f66", "#9a3d1a"),
    "over-refusal": ("#b9a3e0", "#5d4796"),
    "refusal": ("#8db4e2", "#2c5a8f"),
    "other": ("#b3bac2", "#505a66"),
}
_EMPTY, _EMPTY_DARK = "#f4f2ec", "#232527"


def scale_top(values: Iterable[float | None]) -> float:
    """Where a scale ends: the first of 10, 25, 50 and 100 % that holds all values (low rates stay apart)."""
    highest = max((value for value in values if value is not None), default=1.0)
    return next((top for top in (0.1, 0.25, 0.5) if highest <= top), 1.0)


def shade(family: Family, share: float, dark: bool = False) -> str:
    """The colour at ``share`` (0 to 1; beyond is clipped) of the family's scale, as ``#rrggbb``."""
    empty, full = (_EMPTY_DARK, _FULL[family][1]) if dark else (_EMPTY, _FULL[family][0])
    part = min(max(share, 0.0), 1.0)
    mixed = (round(a + (b - a) * part) for a, b in zip(_channels(empty), _channels(full), strict=True))
    return "#" + "".join(f"{channel:02x}" for channel in mixed)


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, 1 to 21 (WCAG 2.2, section 1.4.3)."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (channel / 255 for channel in _channels(colour))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
