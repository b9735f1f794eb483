"""Rates by category of prompts, for the cells that the finding is about."""

from __future__ import annotations

from typing import NamedTuple

from puretune.report._metrics import Reading, reading
from puretune.report._palette import scale_top, tone
from puretune.study import CategoryRate, Matrix
from puretune.templates import alias_of

_Cell = tuple[str, str]
"""Condition, test template."""


class CategoryTable(NamedTuple):
    """One metric of one suite: categories down, cells across."""

    reading: Reading
    suite: str
    columns: list[str]
    rows: list[tuple[str, list[tuple[CategoryRate, str] | None]]]
    """Category, then one rate with its colour step per column."""


def category_tables(matrix: Matrix) -> list[CategoryTable]:
    """One table per metric that has rates by category; the categories in the suite's order."""
    cells = _leading(matrix)
    every = dict.fromkeys((one.suite, one.scorer, one.metric) for one in matrix.categories)
    places = [place for place in every if not reading(*place, matrix).secondary]
    return [table for place in places if (table := _table(place, cells, matrix)).rows]


def _table(place: tuple[str, str, str], cells: list[_Cell], matrix: Matrix) -> CategoryTable:
    suite, scorer, metric = place
    held = {
        (one.category, one.condition, one.test_template): one
        for one in matrix.categories
        if (one.suite, one.scorer, one.metric) == place and (one.condition, one.test_template) in cells
    }
    kind, top = reading(suite, scorer, metric, matrix), scale_top(one.value for one in held.values())
    shown = [cell for cell in cells if any(key[1:] == cell for key in held)]
    rows = []
    for category in dict.fromkeys(key[0] for key in held):
        rates = [held.get((category, *cell)) for cell in shown]
        rows.append(
            (category, [None if one is None else (one, tone(kind, one.value / top)) for one in rates])
        )
    return CategoryTable(kind, suite, [_name(cell) for cell in shown], rows)


def _name(cell: _Cell) -> str:
    return f"{alias_of(cell[0])} -> {alias_of(cell[1])}"


def _leading(matrix: Matrix) -> list[_Cell]:
    """The cells of the planned comparison and of the recommendation, after the untuned model under the same
    templates."""
    planned = [one for one in matrix.comparisons if one.role == "planned"][:1]
    cells = [
        cell
        for one in planned
        for cell in ((one.condition, one.test_template), (one.reference, one.reference_template))
    ]
    found = matrix.recommendation
    if found is not None and found.condition is not None and found.test_template is not None:
        cells.append((found.condition, found.test_template))
    untuned = [name for name, kind in matrix.kinds.items() if kind == "untuned"]
    return list(dict.fromkeys([*((name, cell[1]) for name in untuned for cell in cells), *cells]))
