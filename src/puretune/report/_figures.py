"""Figures for papers, by matplotlib: each as PNG, SVG and PDF."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

from puretune.errors import EnvironmentFault
from puretune.report._frontier import KINDS, Frontier, frontier
from puretune.report._number_words import percent, span
from puretune.report._palette import scale_top, shade, tone
from puretune.report._view import Grid, grids
from puretune.study import Matrix
from puretune.templates import alias_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARKERS = {"untuned": "o", "same": "s", "ptst": "D", "other": "."}
_COLOURS = {"untuned": "#ffffff", "same": "#d4683a", "ptst": "#3f9a83", "other": "#8d97a2"}
_KINDS = ("png", "svg", "pdf")


def figures(matrix: Matrix, redact: bool = False) -> dict[str, bytes]:
    """``figures/frontier.*`` and one ``figures/matrix-...*`` per metric and suite.

    EnvironmentFault if matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise EnvironmentFault(
            "Figures need matplotlib, which is not installed: pip install 'puretune[figures]'."
        ) from None
    with matplotlib.rc_context({"svg.hashsalt": "puretune", "font.size": 9, "pdf.fonttype": 42}):
        found = frontier(matrix)
        drawn = {"frontier": _frontier(found)} if found else {}
        drawn |= {_name(grid): _heat_map(grid) for grid in grids(matrix) if grid.squares}
        return {
            f"figures/{name}.{kind}": _saved(figure, kind)
            for name, figure in drawn.items()
            for kind in _KINDS
        }


def _name(grid: Grid) -> str:
    return "matrix-" + re.sub(r"[^A-Za-z0-9.-]+", "-", f"{grid.suite}-{grid.scorer}-{grid.metric}").strip("-")


def _figure(width: float, height: float) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained")
    return made, made.subplots()


def _saved(figure: Figure, kind: str) -> bytes:
    out = io.BytesIO()
    undated: dict[str, Any] = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
    figure.savefig(out, format=kind, dpi=200, metadata=undated)
    return out.getvalue()


def _frontier(found: Frontier) -> Figure:
    figure, axes = _figure(5, 4)
    for kind, words in KINDS.items():
        points = [point for point in found.points if point.kind == kind]
        if not points:
            continue
        axes.errorbar(
            [p.safe.value for p in points],
            [p.helpful.value for p in points],
            xerr=_sides([p.safe for p in points]),
            yerr=_sides([p.helpful for p in points]),
            fmt=_MARKERS[kind],
            color=_COLOURS[kind],
            ecolor="#b8b4ac",
            markeredgecolor="#1d1c1a",
            elinewidth=0.8,
            label=words,
        )
        for point in points:
            axes.annotate(
                _plain(point.label),
                (point.safe.value, point.helpful.value),
                (4, 4),
                textcoords="offset points",
            )
    axes.set(xlabel=_plain(found.safety), ylabel=_plain(found.helpfulness), xlim=(-2, 102), ylim=(-2, 102))
    axes.legend(frameon=False, fontsize=7, loc="best")
    return figure


def _sides(ends: list[Any]) -> list[list[float]]:
    return [[max(e.value - e.low, 0) for e in ends], [max(e.high - e.value, 0) for e in ends]]


def _heat_map(grid: Grid) -> Figure:
    figure, axes = _figure(1.6 + 0.95 * len(grid.columns), 0.9 + 0.5 * len(grid.rows))
    top = scale_top(grid.values())
    for square in grid.squares:
        x, y, cell = grid.columns.index(square.column), grid.rows.index(square.row), square.pooled
        colour = "#ffffff" if cell.value is None else shade(tone(grid.reading, cell.value / top))
        axes.add_patch(_box(x, y, colour, square.mark))
        axes.text(x, y - 0.1, percent(cell.value), ha="center", va="center", weight="bold")
        axes.text(x, y + 0.25, span(cell.low, cell.high, "–"), ha="center", va="center", fontsize=6.5)
    axes.set(xlim=(-0.5, len(grid.columns) - 0.5), ylim=(len(grid.rows) - 0.5, -0.5))
    axes.set_xticks(range(len(grid.columns)), [_plain(alias_of(name)) for name in grid.columns])
    axes.set_yticks(range(len(grid.rows)), [_plain(row.short) for row in grid.rows])
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    axes.set_title(_plain(f"{grid.reading.title} on {grid.suite}, %"), fontsize=8)
    return figure


def _box(x: int, y: int, colour: str, mark: str | None) -> Any:
    from matplotlib.patches import Rectangle

    edge, style = ("#1d1c1a", "-" if mark == "same" else "--") if mark else ("#ffffff", "-")
    return Rectangle((x - 0.47, y - 0.47), 0.94, 0.94, facecolor=colour, edgecolor=edge, linestyle=style)


def _plain(text: str) -> str:
    """Text that matplotlib does not read as mathematics."""
    return text.replace("$", r"\$").replace("->", "→")
