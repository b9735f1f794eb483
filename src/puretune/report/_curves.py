"""How the figures change along training, where a study kept adapters on the way."""

from __future__ import annotations

from typing import NamedTuple

from puretune.report._view import Grid, Square, grids
from puretune.study import Matrix
from puretune.templates import alias_of

WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM, TOP = 440.0, 230.0, 40.0, 84.0, 34.0, 10.0
_MOST = 8
"""Lines of a plot: more cannot be told apart."""


class Curve(NamedTuple):
    """One condition under one test template: (x, y, low y, high y) at each kept step."""

    label: str
    places: list[tuple[float, float, float, float]]
    label_y: float

    @property
    def line(self) -> str:
        """The points of an SVG line."""
        return " ".join(f"{x},{y}" for x, y, _, _ in self.places)


class Plot(NamedTuple):
    """One metric of one suite along training."""

    grid: Grid
    ticks: list[tuple[float, str]]
    curves: list[Curve]


def plots(matrix: Matrix) -> list[Plot]:
    """One per primary metric that was measured at several steps; nothing for other studies."""
    found = [_plot(grid) for grid in grids(matrix) if not grid.reading.secondary]
    return [plot for plot in found if plot.curves and len(plot.ticks) > 1]


def down(value: float) -> float:
    """A share to a vertical place."""
    return round(HEIGHT - BOTTOM - value * (HEIGHT - BOTTOM - TOP), 1)


def _plot(grid: Grid) -> Plot:
    conditions = {square.row.condition for square in grid.squares if square.row.step is not None}
    held = [s for s in grid.squares if s.row.condition in conditions and s.pooled.value is not None]
    steps = sorted({square.row.step for square in held}, key=lambda step: (step is None, step or 0))
    width = (WIDTH - LEFT - RIGHT) / max(len(steps) - 1, 1)
    ticks = {step: round(LEFT + width * place, 1) for place, step in enumerate(steps)}
    lines: dict[str, list[Square]] = {}
    for square in held:
        name = f"{alias_of(square.row.condition)} -> {alias_of(square.column)}"
        lines.setdefault(name, []).append(square)
    curves = [_curve(name, line, ticks) for name, line in list(lines.items())[:_MOST] if len(line) > 1]
    return Plot(
        grid, [(x, "end" if step is None else f"{step:,}") for step, x in ticks.items()], _apart(curves)
    )


def _curve(name: str, line: list[Square], ticks: dict[int | None, float]) -> Curve:
    places = []
    for square in sorted(line, key=lambda one: ticks[one.row.step]):
        cell = square.pooled
        value = cell.value or 0.0
        low, high = (value if end is None else end for end in (cell.low, cell.high))
        places.append((ticks[square.row.step], down(value), down(low), down(high)))
    return Curve(name, places, places[-1][1])


def _apart(curves: list[Curve]) -> list[Curve]:
    """The same with labels that do not overlap."""
    made: list[Curve] = []
    for curve in sorted(curves, key=lambda one: one.label_y):
        lowest = made[-1].label_y + 12 if made else 0.0
        made.append(curve._replace(label_y=max(curve.label_y, lowest)))
    return made
