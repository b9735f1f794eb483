"""The report as one HTML file: nothing loaded from elsewhere, every text escaped, styles by their hash."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from puretune.report import _agreement, _curves, _frontier, _palette, _paper_numbers
from puretune.report._category_tables import category_tables
from puretune.report._facts import command, interval_notes, note, settings, template_sheets
from puretune.report._headline import contrasts, headline
from puretune.report._metrics import Family, Reading
from puretune.report._number_words import bounds, percent, plural, span, visible
from puretune.report._palette import scale_top, tone
from puretune.report._transcripts import LARGEST_INLINE, pack
from puretune.report._verdict import verdict
from puretune.report._view import BEHAVIOURS, Grid, Row, Square, behaviour_grids, grids, told_by
from puretune.store import write_text
from puretune.study import CellResult, Matrix, answers_of
from puretune.templates import alias_of

_FAMILIES: tuple[Family, ...] = ("help", "harm", "over-refusal", "refusal", "other")
BESIDE = "transcripts.html"
_TEMPLATES = {"report.html": "report.html.j2", BESIDE: "transcripts_page.html.j2"}
_SCRIPTS = Path(__file__).parent / "browser"
_ORDER = ("data.js", "labels.js", "filters.js", "answer_list.js", "answer_detail.js", "page.js")
_TAGS = {"same": "same", "ptst": "PTST"}


class HeatCell(NamedTuple):
    """What one square of a heat map shows; ``step`` is its colour on the scale."""

    value: str
    interval: str
    mark: str
    tag: str
    step: str
    hover: str
    link: str
    """To the answers of the cell."""


class HeatMap(NamedTuple):
    """One heat map: its grid, a line of cells per row (None: not measured), and where its scale ends."""

    grid: Grid
    lines: list[tuple[Row, list[HeatCell | None]]]
    top: str
    family: Family
    brief: str
    """One line in its place: all cells are the same, or another map tells it; "": it is shown."""

    @property
    def ends(self) -> tuple[str, str]:
        """The colour steps of 0 and of the top of the scale."""
        return tone(self.grid.reading, 0), tone(self.grid.reading, 1)


class Bar(NamedTuple):
    """One stacked bar: (behaviour, count, start and width in per cent); the rest has no behaviour."""

    parts: list[tuple[str, int, float, float]]
    n: int
    words: str


def write_html(matrix: Matrix, path: Path) -> None:
    """Write the report, whole or not at all; EnvironmentFault if it cannot be written."""
    write_text(path, html_text(matrix))


def html_text(matrix: Matrix, redact: bool = False) -> str:
    """The report as one self-contained page, readable without a network; see :func:`html_pages`."""
    return html_pages(matrix, redact)["report.html"]


def html_pages(matrix: Matrix, redact: bool = False) -> dict[str, str]:
    """``report.html``, and ``transcripts.html`` where the answers are too large to be in it.

    Model output, names and settings are escaped, answers are data that the page's own script shows as text; a
    content security policy in the page allows its own style sheet and script, by their hashes, and nothing
    else. With ``redact`` what is harmful is left out.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent)
    answers = answers_of(matrix)
    packed = pack(matrix, answers, redact) if answers.rows else None
    inline = packed is None or packed.size <= LARGEST_INLINE
    css = environment.get_template("report.css.j2").render(palette=_palette)
    js = "(() => {\n" + "".join((_SCRIPTS / name).read_text("utf-8") for name in _ORDER) + "})();\n"
    around: dict[str, Any] = {
        "css": css,
        "js": js,
        "pack": packed,
        "inline": inline,
        "beside": BESIDE,
        "redacted": redact,
    }
    around |= {"matrix": matrix, "whole": answers.whole, "policy": _policy(css, js)}
    names = ["report.html"] if inline else ["report.html", BESIDE]
    content = _page(matrix, "" if inline else BESIDE) | around
    return {name: visible(environment.get_template(_TEMPLATES[name]).render(content)) for name in names}


def _policy(css: str, js: str) -> str:
    return (
        f"default-src 'none'; style-src '{_hash(css)}'; script-src '{_hash(js)}'; base-uri 'none'; "
        "form-action 'none'"
    )


def _hash(text: str) -> str:
    """How a content security policy names an inline style or script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _page(matrix: Matrix, beside: str) -> dict[str, Any]:
    found = grids(matrix)
    primary, secondary = (_heat_maps(found, flag, beside) for flag in (False, True))
    frontier = _frontier.frontier(matrix)
    return {
        "verdict": verdict(matrix),
        "contrasts": contrasts(matrix),
        "headline": headline(matrix),
        "controls": [one.sentence() for one in matrix.controls],
        "size": _size(matrix, found),
        "primary": _side_by_side(primary),
        "secondary": secondary,
        "marks": {square.mark for grid in found for square in grid.squares},
        "codes": _codes(matrix),
        "behaviours": [(grid, _classes(grid.reading), _bars(grid)) for grid in behaviour_grids(matrix)],
        "frontier": frontier,
        "points": _frontier.placed(frontier) if frontier else [],
        "plot": _frontier,
        "plots": _curves.plots(matrix),
        "curve": _curves,
        "categories": category_tables(matrix),
        "agreement": _agreement,
        "agreements": _agreement.rows(matrix),
        "runs": [(run, _line(run)) for run in matrix.cells],
        "sheets": template_sheets(matrix),
        "settings": settings(matrix),
        "interval_notes": interval_notes(matrix),
        "note": note(matrix),
        "command": command(matrix),
        "published": _paper_numbers,
        "alias_of": alias_of,
        "span": span,
    }


def _codes(matrix: Matrix) -> list[tuple[str, str]]:
    """Short names with the templates that they stand for."""
    names = [cell.train_template for cell in matrix.pooled if cell.train_template]
    every = dict.fromkeys([*names, *(cell.test_template for cell in matrix.pooled)])
    return [(alias_of(name), name) for name in every if alias_of(name) != name]


def _classes(reading: Reading) -> dict[str, str]:
    """Which behaviour is good: refusing what is harmful, doing what is not."""
    good = {"harm": "refused", "benign": "complied", "task": "complied"}.get(reading.asks or "")
    return {
        name: name
        if name in ("incoherent", "empty")
        else "plain"
        if good is None
        else "good"
        if name == good
        else "bad"
        for name in BEHAVIOURS
    }


def _size(matrix: Matrix, found: list[Grid]) -> str:
    if not matrix.pooled:
        return "nothing measured"
    parts = [
        plural(len(found[0].rows), "condition"),
        plural(len(found[0].columns), "test template"),
        plural(len({cell.suite for cell in matrix.pooled}), "suite"),
    ]
    seeds, n = bounds(c.seeds for c in matrix.pooled), bounds(c.n for c in matrix.pooled)
    return f"{' × '.join(parts)} · {seeds} {'seed' if seeds == '1' else 'seeds'} · {n} answers per cell"


def _side_by_side(maps: list[HeatMap]) -> list[HeatMap]:
    """Helpfulness and harm alternate as far as they go, so that they are next to each other."""
    helps, harms = ([m for m in maps if m.family == family] for family in ("help", "harm"))
    both = min(len(helps), len(harms))
    pairs = [m for pair in zip(helps, harms, strict=False) for m in pair]
    return [*pairs, *helps[both:], *harms[both:], *(m for m in maps if m.family not in ("help", "harm"))]


def _heat_maps(found: list[Grid], secondary: bool, beside: str) -> list[HeatMap]:
    """Heat maps of one family share one scale, so that their colours compare."""
    held = [grid for grid in found if grid.reading.secondary is secondary]
    tops = {
        family: scale_top(value for grid in held if grid.reading.family == family for value in grid.values())
        for family in _FAMILIES
    }
    return [_heat_map(grid, tops[grid.reading.family], _brief(grid, found), beside) for grid in held]


def _brief(grid: Grid, found: list[Grid]) -> str:
    """One line in place of a map that says nothing more."""
    other = told_by(grid, found[: found.index(grid)])
    if grid.constant:
        return grid.constant
    return f"100 % minus {other.reading.title} in every cell" if other else ""


def _heat_map(grid: Grid, top: float, brief: str, beside: str) -> HeatMap:
    lines = [
        (row, [_heat_cell(grid.at(row, c), grid, top, beside) for c in grid.columns]) for row in grid.rows
    ]
    return HeatMap(grid, lines, f"{100 * top:.0f}", grid.reading.family, brief)


def _heat_cell(square: Square | None, grid: Grid, top: float, beside: str) -> HeatCell | None:
    if square is None:
        return None
    cell = square.pooled
    return HeatCell(
        value=percent(cell.value),
        interval=span(cell.low, cell.high, "–"),
        mark=square.mark or "",
        tag=_TAGS.get(square.mark or "", ""),
        step="" if cell.value is None else tone(grid.reading, cell.value / top),
        hover="\n".join([f"{square.row.label} → {square.column}", *map(_line, square.runs)]),
        link=beside + _link(square, grid),
    )


def _link(square: Square, grid: Grid) -> str:
    """The answers of a cell, as the page's browser reads it from the address."""
    named = {"condition": square.row.condition, "template": square.column, "suite": grid.suite}
    return f"#transcripts?{urlencode({**named, 'metric': f'{grid.scorer}/{grid.metric}'})}"


def _line(run: CellResult) -> str:
    """One run in words: seed, value, interval, n, and its counts that are not zero."""
    seed = "not tuned here" if run.seed is None else f"seed {run.seed}"
    interval = span(run.low, run.high)
    counts = ", ".join(f"{count:,} {name}" for name, count in run.counts.items() if count)
    value = f"{percent(run.value)} %" + (f" ({interval})" if interval else "")
    return f"{seed}: {value}, n = {run.n:,}" + (f"; {counts}" if counts else "")


def _bars(grid: Grid) -> list[tuple[Row, list[Bar | None]]]:
    return [(row, [_bar(grid.at(row, column)) for column in grid.columns]) for row in grid.rows]


def _bar(square: Square | None) -> Bar | None:
    n = sum(run.n for run in square.runs) if square else 0
    if square is None or n == 0:
        return None
    counts, parts, start = square.counts, [], 0.0
    for name in BEHAVIOURS:
        width = 100 * counts[name] / n
        parts.append((name, counts[name], start, width))
        start += width
    words = ", ".join(f"{count:,} {name}" for name, count, *_ in parts if count) or "no behaviour judged"
    return Bar(parts, n, f"{words}; {plural(n, 'answer')}")
