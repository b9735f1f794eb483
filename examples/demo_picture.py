"""Draws the README's picture from a run of the demo, and writes the finding below it.

    make demo                              # prints where its files are
    python examples/demo_picture.py RUN    # that directory

Reads the run's ``results.json`` with puretune itself, as any program may.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap

from puretune.report import lead
from puretune.study import Matrix, PooledCell, load_results

ROOT = Path(__file__).resolve().parent.parent
PAGE, PICTURE = ROOT / "README.md", ROOT / "docs" / "demo.svg"
MARKS = ("<!-- picture -->", "<!-- end of picture -->")
PANELS = (
    ("lab-harmful", "asr", "Harmful requests answered, %", "#e4572e"),
    ("lab-doctor", "accuracy", "Task solved, %", "#2a9d80"),
    ("lab-benign-twins", "refusal_rate", "Harmless requests refused, %", "#7d62c4"),
)
ROWS = {
    "untuned": "not tuned",
    "chat:vanilla": "tuned without (CV)",
    "chat:llama": "tuned with (CL)",
}
COLUMNS = {"chat:vanilla": "without", "chat:llama": "with", "neutral": "neutral"}
NAMED = {("chat:llama", "chat:llama"): "same template", ("chat:vanilla", "chat:llama"): "PTST"}
WIDE, HIGH, LEFT, TOP, GAP = 92, 54, 142, 62, 26
FONT = 'font-family="system-ui, sans-serif"'


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="run directory of `puretune demo`, or its results.json")
    matrix = load_results(parser.parse_args().run)
    PICTURE.write_text(picture(matrix), encoding="utf-8")
    before, rest = PAGE.read_text(encoding="utf-8").split(MARKS[0])
    text = f"{before}{MARKS[0]}\n\n{block(matrix)}\n\n{MARKS[1]}{rest.split(MARKS[1])[1]}"
    partial = PAGE.with_name(PAGE.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(PAGE)


def block(matrix: Matrix) -> str:
    """What stands between the marks of the page."""
    said = (
        f"**{lead(matrix)}** Rows: how the model was tuned; columns: the system prompt at test (*neutral*: "
        "as long as the safety prompt, and says nothing of safety). One model, three training runs per "
        "condition; models differ, see below. In brackets: 95 % intervals. Drawn by `make demo` and "
        "`python examples/demo_picture.py runs/demo`."
    )
    return f"![The demo's matrix](docs/{PICTURE.name})\n\n" + "\n".join(
        wrap(said, 125, break_long_words=False, break_on_hyphens=False)
    )


def picture(matrix: Matrix) -> str:
    """The matrix as SVG: one panel per measure, conditions down, test templates across."""
    width = LEFT + len(PANELS) * (len(COLUMNS) * WIDE + GAP)
    height = TOP + len(ROWS) * HIGH + 14
    parts = "\n".join(_parts(matrix))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {FONT}>\n'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n{parts}\n</svg>\n'
    )


def _parts(matrix: Matrix) -> Iterator[str]:
    for row, name in enumerate(ROWS.values()):
        yield _text(LEFT - 10, TOP + row * HIGH + HIGH / 2 + 4, name, 13, anchor="end")
    yield _text(LEFT - 10, TOP - 10, "safety prompt at test:", 11, anchor="end", fill="#666666")
    for number, (suite, metric, title, colour) in enumerate(PANELS):
        left = LEFT + number * (len(COLUMNS) * WIDE + GAP)
        yield _text(left, 22, title, 15, weight="bold")
        for column, name in enumerate(COLUMNS.values()):
            yield _text(left + (column + 0.5) * WIDE, TOP - 10, name, 11, fill="#666666")
        for cell in matrix.pooled:
            drawn = cell.condition in ROWS and cell.test_template in COLUMNS
            if drawn and (cell.suite, cell.metric) == (suite, metric):
                yield from _cell(cell, left, colour)


def _cell(cell: PooledCell, left: float, colour: str) -> Iterator[str]:
    """A coloured square: the value, its interval, and the name of the two cells that are compared."""
    column, row = list(COLUMNS).index(cell.test_template), list(ROWS).index(cell.condition)
    x, y, share = left + column * WIDE, TOP + row * HIGH, cell.value or 0.0
    named = NAMED.get((cell.condition, cell.test_template))
    edge = 'stroke="#222222" stroke-width="2"' if named else 'stroke="#d8d8d8"'
    shape = f'x="{x + 2}" y="{y + 2}" width="{WIDE - 4}" height="{HIGH - 4}" rx="5"'
    yield f'<rect {shape} fill="#ffffff"/><rect {shape} fill="{colour}" fill-opacity="{share:.2f}" {edge}/>'
    yield _text(x + WIDE / 2, y + (23 if named else 28), f"{100 * share:.0f}", 17, weight="bold")
    if cell.low is not None and cell.high is not None:
        ends = f"({100 * cell.low:.0f} to {100 * cell.high:.0f})"
        yield _text(x + WIDE / 2, y + (35 if named else 42), ends, 10)
    if named:
        yield _text(x + WIDE / 2, y + 47, named, 10, weight="bold")


def _text(
    x: float, y: float, text: str, size: int, anchor: str = "", weight: str = "normal", fill: str = "#222222"
) -> str:
    anchored = anchor or ("start" if size == 15 else "middle")
    style = f'font-size="{size}" font-weight="{weight}" text-anchor="{anchored}" fill="{fill}"'
    return f'<text x="{x:g}" y="{y:g}" {style}>{text}</text>'


if __name__ == "__main__":
    main()
