"""Colours of the heat maps: one scale from bad to good by the metric's direction, for light and dark paper.

Vermilion for bad and teal for good stay apart for colour-blind readers; a metric without a direction is
grey. The ink stays readable (contrast at least 4.5) over a whole scale.
"""

from __future__ import annotations

from collections.abc import Iterable

from puretune.report._metrics import Reading

INK = "#1d1c1a"
INK_DARK = "#f1eee8"
PAPER = "#fbfaf7"
PAPER_DARK = "#191a1c"

# Full ends of the scales on (light, dark) paper; the middle, or the empty end, is nearly the paper.
_GOOD, _BAD, _PLAIN = ("#6fbfa9", "#1b6b58"), ("#f08f66", "#9a3d1a"), ("#b3bac2", "#505a66")
_EMPTY = ("#f4f2ec", "#232527")
LEVELS = 20
"""Steps of a scale: the page has a class for each."""


def scale_top(values: Iterable[float | None]) -> float:
    """Where a scale ends: the first of 10, 25, 50 and 100 % that holds all values (low rates stay apart)."""
    highest = max((value for value in values if value is not None), default=1.0)
    return next((top for top in (0.1, 0.25, 0.5) if highest <= top), 1.0)


def tone(reading: Reading, share: float) -> str:
    """The step of a value at ``share`` (0 to 1; beyond is clipped) of its scale: ``g0`` (bad) to ``g20``
    (good), or ``n0`` to ``n20`` where neither end is good."""
    part = min(max(share, 0.0), 1.0)
    if reading.better is None:
        return f"n{round(part * LEVELS)}"
    return f"g{round((part if reading.better == 'higher' else 1 - part) * LEVELS)}"


def shade(step: str, dark: bool = False) -> str:
    """The colour of a step, as ``#rrggbb``."""
    part, empty = int(step[1:]) / LEVELS, _EMPTY[dark]
    if step[0] == "n":
        return _mixed(empty, _PLAIN[dark], part)
    return _mixed(empty, (_GOOD if part > 0.5 else _BAD)[dark], abs(2 * part - 1))


def steps() -> list[str]:
    """All steps of both scales."""
    return [f"{scale}{level}" for scale in "gn" for level in range(LEVELS + 1)]


def _mixed(empty: str, full: str, part: float) -> str:
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
