"""The matrix in a terminal: readable without colour, and at 80 columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from puretune.report._agreement import lines
from puretune.report._headline import headline, lead
from puretune.report._number_words import listed, percent, span
from puretune.report._palette import INK, scale_top, shade, tone
from puretune.report._verdict import verdict
from puretune.report._view import Grid, Row, Square, grids
from puretune.study import Matrix
from puretune.templates import alias_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

_SIGNS = {"same": "=", "ptst": "*"}
_LEGEND = {
    "=": "= the same template on both sides",
    "*": "* tuned without a safety prompt, tested with one (PTST)",
}
_PADDING = 3  # between two columns
_LONGEST = 16  # characters of a template's name on one line; a longer one is folded


def print_finding(matrix: Matrix, console: Console) -> None:
    """Print what to serve, then the planned comparison; where there is neither, what the matrix can say."""
    found, planned = verdict(matrix), lead(matrix)
    if found is not None:
        first, *rest = found.sentences
        console.print(first, style="bold", markup=False, highlight=False)
        for line in rest:
            console.print(line, markup=False, highlight=False)
        console.print()
    console.print(f"{planned or headline(matrix)}\n", markup=False, highlight=False)


def print_matrix(matrix: Matrix, console: Console) -> None:
    """Print one table per primary metric and suite: value and 95 % interval in per cent, marks, a legend.

    Rows are conditions, columns test templates. Where the console is too narrow, templates go by their short
    names, then columns move to further tables. Secondary metrics are named here and shown in the reports.
    """
    found = grids(matrix)
    primary = [grid for grid in found if not grid.reading.secondary]
    if not primary:
        console.print(f"{matrix.name}: no cell was measured.", markup=False)
    for grid in primary:
        _print_grid(grid, console)
    for line in _legend(primary, console):
        console.print(line, style="dim", markup=False, highlight=False)
    for line in lines(matrix):
        console.print(line, style="dim", markup=False, highlight=False)
    behind = [f"{grid.label} on {grid.suite}" for grid in found if grid.reading.secondary]
    if behind:
        console.print(f"Also in the report: {listed(behind)}.", style="dim", markup=False, highlight=False)


def _print_grid(grid: Grid, console: Console) -> None:
    from rich.text import Text

    better = f", {grid.direction}" if grid.direction else ""
    console.print(
        Text(f"{grid.reading.title} in %{better}", style="bold").append(f"  {grid.suite}", "not bold")
    )
    if said := grid.constant:
        console.print(said)
    for columns in () if said else _blocks(grid, console):
        console.print(_table(grid, columns, console))
    console.print(grid.caption, style="dim", markup=False, highlight=False)
    console.print()


def _table(grid: Grid, columns: tuple[str, ...], console: Console) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    short, top = _short(grid, console), scale_top(grid.values())
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    table.add_column(
        Text("train \\ test", style="dim"), width=_names_width(grid, short, console), overflow="fold"
    )
    for name in columns:
        width = _column_width(grid, name, short)
        table.add_column(Text(_column_name(name, short), justify="right"), width=width, overflow="fold")
    for row in grid.rows:
        cells = [_cell(grid, grid.at(row, c), top, _column_width(grid, c, short), console) for c in columns]
        table.add_row(Text(_row_name(row, short)), *cells)
    return table


def _cell(grid: Grid, square: Square | None, top: float, width: int, console: Console) -> Text:
    """Value and mark on the first line, the interval below; coloured by value on a console with colour."""
    from rich.text import Text

    dash = "\N{EN DASH}" if console.encoding.startswith("utf") else "-"
    if square is None:
        return Text(dash, style="dim", justify="right")
    cell = square.pooled
    first = f"{percent(cell.value)}{_SIGNS.get(square.mark or '', ' ')}".rjust(width)
    text = Text(f"{first}\n{span(cell.low, cell.high, dash):>{width}}")
    if cell.value is not None:
        text.stylize(f"{INK} on {shade(tone(grid.reading, cell.value / top))}")
    if square.mark:
        text.stylize("bold", 0, len(first))
    return text


def _legend(found: list[Grid], console: Console) -> Iterator[str]:
    marks = {square.mark for grid in found for square in grid.squares if square.mark}
    yield from (_LEGEND[sign] for mark, sign in _SIGNS.items() if mark in marks)
    names = dict.fromkeys(n for grid in found if _short(grid, console) for n in _templates(grid))
    shortened = [f"{alias_of(name)} {name}" for name in names if alias_of(name) != name]
    if shortened:
        yield ", ".join(shortened)


def _templates(grid: Grid) -> list[str]:
    return [*(row.train_template for row in grid.rows if row.train_template), *grid.columns]


def _short(grid: Grid, console: Console) -> bool:
    """Whether the full names do not fit."""
    return _width(grid, grid.columns, False, console) > console.width


def _blocks(grid: Grid, console: Console) -> Iterator[tuple[str, ...]]:
    """The columns in groups that fit the console's width; at least one column each."""
    short, block = _short(grid, console), tuple[str, ...]()
    for name in grid.columns:
        if block and _width(grid, (*block, name), short, console) > console.width:
            yield block
            block = ()
        block = (*block, name)
    yield block


def _width(grid: Grid, columns: tuple[str, ...], short: bool, console: Console) -> int:
    cells = sum(_column_width(grid, name, short) + _PADDING for name in columns)
    return _names_width(grid, short, console) + cells


def _names_width(grid: Grid, short: bool, console: Console) -> int:
    longest = max(len(_row_name(row, short)) for row in grid.rows)
    return max(len("train \\ test"), min(longest, console.width // 3))


def _column_width(grid: Grid, name: str, short: bool) -> int:
    widest = max(len(span(s.pooled.low, s.pooled.high, "-")) for s in grid.squares)
    return max(min(len(_column_name(name, short)), _LONGEST), widest, len("100.0*"))


def _column_name(name: str, short: bool) -> str:
    return alias_of(name) if short else name


def _row_name(row: Row, short: bool) -> str:
    return row.short if short else row.label
