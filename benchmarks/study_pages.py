"""The pages of docs/studies, from finished runs; from the root:

    python -m benchmarks.study_pages runs/first-steps runs/several-rounds

Between the marks of a page stands what its run says and nothing else; the words around them are written by
hand and stay. A page that does not exist is made, with room for these words.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from puretune.names import spoken_time
from puretune.report import lead
from puretune.report._markdown import _table as table
from puretune.report._view import Grid, Row, grids
from puretune.store import write_text
from puretune.study import Matrix, find_study, load_results, study_head, study_names
from puretune.templates import alias_of

PAGES = Path(__file__).resolve().parents[1] / "docs" / "studies"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"


@dataclass(frozen=True)
class NamedStudy:
    """A study by its name."""

    name: str

    @property
    def page(self) -> Path:
        """Its page in docs/studies."""
        return PAGES / f"{self.name}.md"

    def text(self) -> str:
        """The page as it is, or a new one with room for the words that are written by hand."""
        if self.page.exists():
            return self.page.read_text("utf-8")
        asks = study_head(find_study(self.name)).asks
        return (
            f"# {self.name}\n\n{asks}\n\n## What it shows, and what not\n\n(to be written)\n\n"
            f"## Figures\n\n{BEGIN}\n{END}\n"
        )


def study_of(matrix: Matrix) -> NamedStudy:
    """The named study whose run this is; ValueError if there is none."""
    for name in study_names():
        if name.replace("/", "-") == matrix.name:
            return NamedStudy(name)
    raise ValueError(f"{matrix.name!r} is the run of no study that has a name.")


def with_figures(page: str, figures: str) -> str:
    """The page with the figures between its marks; ValueError where it has none."""
    before, _, rest = page.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"the page has no {BEGIN} ... {END}.")
    return f"{before}{BEGIN}\n\n{figures.strip()}\n\n{END}{after}"


def figures(name: str, matrix: Matrix) -> str:
    """The command, the planned comparisons, the cells, time and machine."""
    parts = [f"    puretune run {name}", planned(matrix), cells(matrix), intervals(matrix), effort(matrix)]
    return "\n\n".join(part for part in parts if part)


def planned(matrix: Matrix) -> str:
    """The planned comparisons, a line each."""
    found = lead(matrix).splitlines()
    return "\n".join(["Planned comparisons:", "", *(f"- {line}" for line in found)]) if found else ""


def cells(matrix: Matrix) -> str:
    """One row for each condition under each test template, one column for each suite's first metric."""
    shown = primary(grids(matrix))
    head = ["tuned -> tested", *(f"{grid.reading.title}, {grid.suite}" for grid in shown)]
    rows = [
        [f"{row.short} -> {alias_of(column)}", *(value(grid, row, column) for grid in shown)]
        for row, column in places(shown)
    ]
    return f"In %, with 95 % intervals.\n\n{table(head, rows)}"


def primary(found: Iterable[Grid]) -> list[Grid]:
    """Of each suite the first metric that says whether it is good."""
    first: dict[str, Grid] = {}
    for grid in found:
        if not grid.reading.secondary and grid.reading.better:
            first.setdefault(grid.suite, grid)
    return list(first.values())


def places(found: Sequence[Grid]) -> Iterator[tuple[Row, str]]:
    """Every measured row and column."""
    for row in found[0].rows:
        for column in found[0].columns:
            if any(grid.at(row, column) for grid in found):
                yield row, column


def value(grid: Grid, row: Row, column: str) -> str:
    """``12 (8 to 18)``."""
    square = grid.at(row, column)
    cell = square.pooled if square else None
    if cell is None or cell.value is None or cell.low is None or cell.high is None:
        return "-"
    return f"{100 * cell.value:.0f} ({100 * cell.low:.0f} to {100 * cell.high:.0f})"


def intervals(matrix: Matrix) -> str:
    """What the intervals are for."""
    return "\n".join(f"- {grid.suite}: {grid.caption}" for grid in primary(grids(matrix)))


def effort(matrix: Matrix) -> str:
    """How long it took, and on what."""
    seconds, model = matrix.provenance.get("seconds", {}), matrix.provenance.get("model", {})
    took = ", ".join(f"{spoken_time(value)} of {name}" for name, value in seconds.items())
    threads = f"{model['threads']} of {os.cpu_count()} cores" if model.get("threads") else model.get("device")
    versions = matrix.provenance.get("versions", {})
    libraries = ", ".join(f"{name} {versions[name]}" for name in ("puretune", "torch") if name in versions)
    return f"Time: {took} on {threads}, {platform.machine()}; {libraries}."


def main(runs: Sequence[str]) -> None:
    """The page of each run."""
    for run in runs:
        matrix = load_results(run)
        study = study_of(matrix)
        write_text(study.page, with_figures(study.text(), figures(study.name, matrix)))
        print(study.page)


if __name__ == "__main__":
    main(sys.argv[1:])
