"""The matrix as data: CSV and Parquet tables, and LaTeX tables for papers."""

from __future__ import annotations

import io
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from puretune.errors import EnvironmentFault
from puretune.report._number_words import percent
from puretune.report._view import Grid, Square, grids
from puretune.study import Matrix, answers_of

if TYPE_CHECKING:
    import pandas

_TEX = {
    **{char: f"\\{char}" for char in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def csv_tables(matrix: Matrix, redact: bool = False) -> dict[str, str]:
    """``cells.csv``, ``means.csv``, ``comparisons.csv`` and ``categories.csv``; shares are from 0 to 1."""
    return {f"{name}.csv": frame.to_csv(index=False) for name, frame in _frames(matrix).items()}


def parquet_tables(matrix: Matrix, redact: bool = False) -> dict[str, bytes]:
    """The same as Parquet, and ``answers.parquet``: every answer, one column per scorer and metric.

    EnvironmentFault if pyarrow is not installed.
    """
    frames = {**_frames(matrix), "answers": _answer_frame(matrix, redact)}
    made = {}
    for name, frame in frames.items():
        out = io.BytesIO()
        try:
            frame.to_parquet(out, index=False)
        except ImportError:
            raise EnvironmentFault(
                "Parquet needs pyarrow, which is not installed: pip install 'puretune[data]'."
            ) from None
        made[f"{name}.parquet"] = out.getvalue()
    return made


def _frames(matrix: Matrix) -> dict[str, pandas.DataFrame]:
    import pandas

    def table(rows: Any) -> pandas.DataFrame:
        return pandas.DataFrame([asdict(row) for row in rows])

    held = {"means": matrix.pooled, "comparisons": matrix.comparisons, "categories": matrix.categories}
    return {"cells": matrix.frame(), **{name: table(rows) for name, rows in held.items() if rows}}


def _answer_frame(matrix: Matrix, redact: bool) -> pandas.DataFrame:
    import pandas

    from puretune.report._transcripts import redacted_rows

    rows = []
    for row in redacted_rows(answers_of(matrix).rows, matrix) if redact else answers_of(matrix).rows:
        said = asdict(row)
        for one in said.pop("verdicts"):
            name = one["scorer"]
            said[f"{name} behaviour"], said[f"{name} parse"] = one["behaviour"], one["parse"]
            said |= {f"{name} {metric}": _number(value) for metric, value in one["values"].items()}
        rows.append(said)
    return pandas.DataFrame(rows)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def latex_tables(matrix: Matrix, redact: bool = False) -> dict[str, str]:
    """``tables.tex``: one booktabs table per metric and suite, means with their 95 % intervals in per cent.

    The bold cells are PTST; an interval that is not symmetric has its two sides.
    """
    head = (
        "% \\usepackage{booktabs}. Means over training seeds in per cent, with 95 % intervals; bold: tuned\n"
        "% without a safety prompt, tested with one.\n"
    )
    return {"tables.tex": head + "\n".join(_latex(grid) for grid in grids(matrix) if grid.squares)}


def _latex(grid: Grid) -> str:
    names = " & ".join(_tex(name) for name in grid.columns)
    rows = [
        " & ".join([_tex(row.label), *(_latex_cell(grid.at(row, column)) for column in grid.columns)])
        for row in grid.rows
    ]
    return "\n".join(
        [
            "\\begin{table}",
            "\\centering",
            f"\\caption{{{_tex(f'{grid.reading.title} on {grid.suite}, in %. {grid.caption}')}}}",
            f"\\begin{{tabular}}{{l{'r' * len(grid.columns)}}}",
            "\\toprule",
            f"tuned \\textbackslash{{}} tested & {names} \\\\",
            "\\midrule",
            *(f"{row} \\\\" for row in rows),
            "\\bottomrule",
            "\\end{tabular}",
            "\\end{table}",
            "",
        ]
    )


def _latex_cell(square: Square | None) -> str:
    if square is None or square.pooled.value is None:
        return "--"
    value = percent(square.pooled.value)
    shown = f"\\textbf{{{value}}}" if square.mark == "ptst" else value
    return f"{shown}{_around(square)}"


def _around(square: Square) -> str:
    cell = square.pooled
    if cell.value is None or cell.low is None or cell.high is None:
        return ""
    below, above = percent(cell.value - cell.low), percent(cell.high - cell.value)
    sides = f"\\pm {below}" if below == above else f"_{{-{below}}}^{{+{above}}}"
    return f" {{\\scriptsize ${sides}$}}"


def _tex(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return "".join(_TEX.get(char, char) for char in " ".join(text.split()))
