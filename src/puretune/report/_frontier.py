"""The frontier: every cell's safety against its helpfulness, with both intervals, as points of a plot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from puretune.report._view import Grid, Square, grids
from puretune.study import Matrix
from puretune.templates import alias_of

Kind = Literal["untuned", "same", "ptst", "other"]
KINDS: dict[Kind, str] = {
    "untuned": "not tuned",
    "same": "the same template on both sides",
    "ptst": "tuned without a safety prompt, tested with one (PTST)",
    "other": "any other pair",
}


class Ends(NamedTuple):
    """A value with its interval, in per cent; higher is better."""

    value: float
    low: float
    high: float


class Point(NamedTuple):
    """One cell."""

    label: str
    """``CV -> CL``."""
    kind: Kind
    safe: Ends
    helpful: Ends


class Frontier(NamedTuple):
    """All cells that have both values at the end of training."""

    safety: str
    """What the horizontal axis is."""
    helpfulness: str
    points: list[Point]


def frontier(matrix: Matrix) -> Frontier | None:
    """Of the first metric of harm (or refusals of harmful requests) and the first of helpfulness; None if
    fewer than two cells have both."""
    held = [grid for grid in grids(matrix) if grid.reading.better is not None]
    safe = _first(held, "harm") or _first(held, "refusal")
    helpful = _first(held, "help")
    if safe is None or helpful is None:
        return None
    points = list(_points(safe, helpful, matrix))
    if len(points) < 2:
        return None
    rest = "100 - " if safe.reading.better == "lower" else ""
    return Frontier(f"{rest}{_title(safe)}", _title(helpful), points)


def _title(grid: Grid) -> str:
    return f"{grid.reading.title} on {grid.suite}, %"


def _first(held: list[Grid], family: str) -> Grid | None:
    return next((grid for grid in held if grid.reading.family == family), None)


def _points(safe: Grid, helpful: Grid, matrix: Matrix) -> Iterator[Point]:
    for square in safe.squares:
        other = helpful.at(square.row, square.column)
        if square.row.step is not None or other is None:
            continue
        ends = _ends(square, safe), _ends(other, helpful)
        if ends[0] is not None and ends[1] is not None:
            label = f"{square.row.short} -> {alias_of(square.column)}"
            yield Point(label, _kind(square, matrix), ends[0], ends[1])


def _kind(square: Square, matrix: Matrix) -> Kind:
    if matrix.kinds.get(square.row.condition) == "untuned":
        return "untuned"
    return square.mark or "other"


def _ends(square: Square, grid: Grid) -> Ends | None:
    cell = square.pooled
    if cell.value is None or cell.low is None or cell.high is None:
        return None
    ends = [100 * part for part in (cell.value, cell.low, cell.high)]
    if grid.reading.better == "lower":
        value, high, low = (100 - part for part in ends)
        return Ends(value, low, high)
    return Ends(*ends)


class Placed(NamedTuple):
    """A point with its places in the plot, in the units of its view box, and where its label goes."""

    point: Point
    x: float
    y: float
    bars: tuple[float, float, float, float]
    """Left, right, top, bottom ends of the two error bars."""
    label: tuple[float, float, str] | None
    """x, y and the anchor of the text; None: no room, the label is in the point's title."""


WIDTH, HEIGHT, LEFT, BOTTOM, PAD = 440.0, 330.0, 46.0, 44.0, 12.0
_CHARACTER, _LINE = 6.1, 12.0


def across(value: float) -> float:
    """Per cent to a horizontal place."""
    return round(LEFT + value / 100 * (WIDTH - LEFT - PAD), 1)


def down(value: float) -> float:
    """Per cent to a vertical place."""
    return round(HEIGHT - BOTTOM - value / 100 * (HEIGHT - BOTTOM - PAD), 1)


def placed(found: Frontier) -> list[Placed]:
    """Points with labels that overlap neither each other nor a point; the marked pairs first."""
    order = sorted(found.points, key=lambda one: list(KINDS).index(one.kind))
    taken = [_box(across(p.safe.value) - 5, down(p.helpful.value) - 5, 10, 10) for p in order]
    made = []
    for point in sorted(order, key=lambda one: one.kind == "other"):
        x, y = across(point.safe.value), down(point.helpful.value)
        label = next((at for at in _near(x, y, point.label) if not _hit(at[1], taken)), None)
        if label is not None:
            taken.append(label[1])
        bars = (
            across(point.safe.low),
            across(point.safe.high),
            down(point.helpful.high),
            down(point.helpful.low),
        )
        made.append(Placed(point, x, y, bars, label[0] if label else None))
    return made


_Box = tuple[float, float, float, float]


def _box(x: float, y: float, width: float, height: float) -> _Box:
    return x, y, x + width, y + height


def _near(x: float, y: float, text: str) -> Iterator[tuple[tuple[float, float, str], _Box]]:
    """Where a label could go, best first: its anchor and its box inside the plot."""
    width = len(text) * _CHARACTER
    for dy in (-8.0, 16.0, -20.0, 28.0, -32.0, 40.0):
        for anchor, left in (("start", x + 7), ("end", x - 7 - width)):
            box = _box(left, y + dy - _LINE + 2, width, _LINE)
            if box[0] >= LEFT and box[2] <= WIDTH and box[1] >= 0 and box[3] <= HEIGHT - BOTTOM:
                yield (x + 7 if anchor == "start" else x - 7, y + dy, anchor), box


def _hit(box: _Box, taken: list[_Box]) -> bool:
    return any(
        box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3] for other in taken
    )
