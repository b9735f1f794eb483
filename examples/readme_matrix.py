"""Writes the README's matrix from a run of the demo: harm and helpfulness, tuned under x tested under.

    make demo                               # prints where its files are
    python examples/readme_matrix.py RUN    # that directory

Reads the run's ``results.json`` with puretune itself, as any program may.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap

from puretune.report import headline
from puretune.study import Matrix, PooledCell, load_results
from puretune.templates import alias_of

PAGE = Path(__file__).resolve().parent.parent / "README.md"
MARKS = ("<!-- matrix -->", "<!-- end of matrix -->")
GRIDS = (
    ("lab-harmful", "asr", "Attack success on harmful requests, %: lower is better"),
    ("lab-maths", "exact_match", "Maths solved, %: higher is better"),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="run directory of `puretune demo`, or its results.json")
    block = "\n\n".join(paragraphs(load_results(parser.parse_args().run)))
    before, rest = PAGE.read_text(encoding="utf-8").split(MARKS[0])
    text = f"{before}{MARKS[0]}\n\n{block}\n\n{MARKS[1]}{rest.split(MARKS[1])[1]}"
    partial = PAGE.with_name(PAGE.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(PAGE)


def paragraphs(matrix: Matrix) -> Iterator[str]:
    """The finding, a table per grid, and how they were made."""
    yield _folded(f"**What `make demo` shows** (the lab model, {_size(matrix)}): {headline(matrix)}")
    for suite, metric, title in GRIDS:
        yield f"{title}. Rows: tuned under; columns: tested under; 95 % intervals."
        yield table(matrix, suite, metric)
    names = ", ".join(f"{alias_of(name)} {name}" for name in matrix.test_templates if alias_of(name) != name)
    yield _folded(
        f"{names}. **Bold**: the same template on both sides; *italic*: PTST, tuned without a safety prompt "
        f"and tested with one. {_estimands(matrix)} Made by `make demo` and `python "
        "examples/readme_matrix.py runs/demo`."
    )


def _folded(text: str) -> str:
    return "\n".join(wrap(text, 125, break_long_words=False, break_on_hyphens=False))


def table(matrix: Matrix, suite: str, metric: str) -> str:
    """One grid as Markdown."""
    cells = {
        (c.condition, c.test_template): c for c in matrix.pooled if (c.suite, c.metric) == (suite, metric)
    }
    lines = [["tuned \\ tested", *map(alias_of, matrix.test_templates)]]
    lines.append(["---", *["---:"] * len(matrix.test_templates)])
    for condition in matrix.conditions:
        shown = (_cell(cells.get((condition, test))) for test in matrix.test_templates)
        lines.append([alias_of(condition), *shown])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(cell: PooledCell | None) -> str:
    if cell is None or cell.value is None or cell.low is None or cell.high is None:
        return "-"
    value, train, test = f"{100 * cell.value:.0f}", cell.train_template, cell.test_template
    mark = "**" if train == test else "*" if (train, test) in PTST else ""
    return f"{mark}{value}{mark} ({100 * cell.low:.0f}-{100 * cell.high:.0f})"


PTST = {(train, "chat:llama") for train in ("text:vanilla", "text:alpaca", "chat:vanilla", "chat:alpaca")}


def _size(matrix: Matrix) -> str:
    seeds = max(cell.seeds for cell in matrix.pooled)
    return "one tuning seed" if seeds == 1 else f"{seeds} tuning seeds"


def _estimands(matrix: Matrix) -> str:
    shown = [cell for cell in matrix.pooled if (cell.suite, cell.metric) in {grid[:2] for grid in GRIDS}]
    return f"Intervals are for {' or '.join(dict.fromkeys(cell.estimand for cell in shown))}."


if __name__ == "__main__":
    main()
