"""The report as Markdown: for a repository, an issue, or a reader without a browser."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from puretune.report import _agreement
from puretune.report import _ranking as ranked
from puretune.report._facts import command, interval_notes, note, settings, template_sheets
from puretune.report._headline import headline
from puretune.report._number_words import percent, span, visible
from puretune.report._paper_numbers import PUBLISHED, SOURCE, TITLE
from puretune.report._verdict import verdict
from puretune.report._view import BEHAVIOURS, Grid, Square, behaviour_grids, grids
from puretune.store import write_text
from puretune.study import Matrix

_SIGNS = {"same": " =", "ptst": " *"}
_COUNTED = (*BEHAVIOURS, "unparsed", "truncated", "errors")


def write_markdown(matrix: Matrix, path: Path) -> None:
    """Write ``report.md``, whole or not at all; EnvironmentFault if it cannot be written."""
    write_text(path, markdown_text(matrix))


def markdown_text(matrix: Matrix) -> str:
    """The report: the finding, the matrix, settings, templates, published numbers, how to reproduce."""
    found = verdict(matrix)
    says = [_text(" ".join(found.sentences))] if found else []
    controls = (_text(one.sentence()) for one in matrix.controls)
    blocks = [f"# {_text(matrix.name)}", *says, _text(headline(matrix)), *controls, *_matrix(matrix)]
    blocks += _behaviours(matrix)
    blocks += [
        *_ranking(matrix),
        *_agreements(matrix),
        *_published(),
        *_intervals(matrix),
        *_templates(matrix),
        *_settings(matrix),
        *_reproduce(matrix),
    ]
    return visible("\n\n".join(blocks)) + "\n"


def markdown_pages(matrix: Matrix, redact: bool = False) -> dict[str, str]:
    """``report.md``; it has no answers, so there is nothing to leave out of it but renderings of prompts."""
    if redact:
        templates = matrix.provenance.get("templates") or {}
        bare = {name: {**record, "rendering": None} for name, record in templates.items()}
        matrix = replace(matrix, provenance={**matrix.provenance, "templates": bare})
    return {"report.md": markdown_text(matrix)}


def matrix_markdown(matrix: Matrix) -> str:
    """The matrix alone: one table for each metric of each suite."""
    return visible("\n\n".join(_matrix(matrix)))


def _matrix(matrix: Matrix) -> Iterator[str]:
    yield "## The matrix"
    yield (
        "Rows: how the model was tuned. Columns: the template it was tested under. Values in % with 95 % "
        "intervals; `=` marks the same template on both sides, `*` tuning without a safety prompt and "
        "testing with one (PTST)."
    )
    for grid in grids(matrix):
        better = f" ({grid.direction})" if grid.direction else ""
        yield f"### {_text(grid.reading.title)} on {_text(grid.suite)}{better}"
        if grid.constant:
            yield f"{grid.constant}. {_text(grid.caption)}"
            continue
        rows = [[row.label, *(_value(grid.at(row, c)) for c in grid.columns)] for row in grid.rows]
        yield _table(["train \\ test", *grid.columns], rows)
        yield _text(grid.caption)


def _value(square: Square | None) -> str:
    if square is None:
        return "\N{EN DASH}"
    cell = square.pooled
    interval = span(cell.low, cell.high, "\N{EN DASH}")
    return percent(cell.value) + (f" ({interval})" if interval else "") + _SIGNS.get(square.mark or "", "")


def _behaviours(matrix: Matrix) -> Iterator[str]:
    found = behaviour_grids(matrix)
    if found:
        yield "## What the answers did"
        yield (
            "Counts of answers over all seeds. Truncated answers are judged too; unparsed ones have no "
            "behaviour."
        )
    for grid in found:
        yield f"### {_text(grid.suite)}, as judged for {_text(grid.label)}"
        yield _table(["train", "test", *_COUNTED, "answers"], _counted(grid))


def _counted(grid: Grid) -> Iterator[list[str]]:
    for square in grid.squares:
        counts = [str(square.counts[name]) for name in _COUNTED]
        yield [square.row.label, square.column, *counts, str(sum(run.n for run in square.runs))]


def _ranking(matrix: Matrix) -> Iterator[str]:
    if matrix.ranking:
        yield "## Strategies at the same helpfulness"
        yield _text(matrix.ranking.sentence())
        yield _table(ranked.HEAD, ranked.rows(matrix.ranking))
        yield _table(ranked.reference_head(matrix.ranking), ranked.reference_rows(matrix.ranking))
        yield _text(ranked.caption(matrix.ranking))


def _agreements(matrix: Matrix) -> Iterator[str]:
    if matrix.agreements:
        yield "## How far the judges agree"
        yield _agreement.EXPLAINED
        yield _table(_agreement.HEAD, _agreement.rows(matrix))


def _published() -> Iterator[str]:
    yield "## Published numbers, for orientation"
    yield f"{TITLE}. Source: {SOURCE}."
    rows = [
        [row.what, f"{row.asr:.2f}", "not known" if row.exact_match is None else f"{row.exact_match:.2f}"]
        for row in PUBLISHED
    ]
    yield _table(["Llama-2-7b-chat, GSM8K", "DirectHarm4 ASR, %", "GSM8K exact match, %"], rows)


def _intervals(matrix: Matrix) -> Iterator[str]:
    yield "## What the numbers mean"
    yield "\n".join(f"- {line}" for line in interval_notes(matrix))
    if note(matrix):
        yield "## What this study can and cannot tell"
        yield _text(note(matrix))


def _templates(matrix: Matrix) -> Iterator[str]:
    yield "## Templates as they were used"
    for sheet in template_sheets(matrix):
        alias = f" ({sheet.alias})" if sheet.alias else ""
        mark = f", fingerprint `{sheet.fingerprint}`" if sheet.fingerprint else ""
        yield f"**{_text(sheet.name)}**{alias}{mark}"
        yield _fenced(sheet.rendering) if sheet.rendering else "No rendering was recorded."


def _settings(matrix: Matrix) -> Iterator[str]:
    yield "## Settings and versions"
    for section in settings(matrix):
        yield f"### {_text(section.title)}"
        yield _table(["setting", "value"], section.facts)


def _reproduce(matrix: Matrix) -> Iterator[str]:
    yield "## How to reproduce"
    line = command(matrix)
    yield _fenced(line) if line else "No command was recorded. Run its file again with `puretune run`."
    yield "A finished study re-runs from its store and gives the same numbers."


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [[_text(cell) for cell in head]]
    lines += [["---"] * len(lines[0]), *([_text(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(text: str) -> str:
    """Text that Markdown shows as it is, on one line; an underscore inside a word needs no escape."""
    return re.sub(r"([\\|<*`\[\]&]|(?<!\w)_|_(?!\w))", r"\\\1", " ".join(text.split()))


def _fenced(text: str) -> str:
    """A code block whose fence is longer than any run of backticks in the text."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text.rstrip()}\n{fence}"
