"""Reports of a finished run written again, and two runs set side by side, without computing any answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from puretune.errors import InputError
from puretune.store import Say
from puretune.study.matrix.compare import stored_tables
from puretune.study.matrix.comparisons import Place, Table, compared, paired, with_holm
from puretune.study.matrix.matrix import Comparison
from puretune.study.matrix.reports import USUAL, format_files, report_files, write_files
from puretune.study.matrix.results import load_results
from puretune.study.matrix.run_directory import RECORD, replace_reports
from puretune.study.spec.analysis import Analysis, CellName, Contrast
from puretune.visible import visible


def write_reports(run: Path, out: Path | None, formats: Sequence[str], redact: bool, say: Say) -> list[Path]:
    """Reports on a finished run, in its own directory if ``out`` is None; where they are.

    InputError if it is no finished run or a format is not known; CheckFailed where a file of it was changed.
    """
    matrix = load_results(run)
    files = format_files(matrix, formats or USUAL, redact)
    folder = out or (run if run.is_dir() else run.parent)
    own = {name: text for name, text in files.items() if name in report_files() and isinstance(text, str)}
    if own and (folder / RECORD).exists():
        replace_reports(folder, own, say)
        write_files({name: files[name] for name in files if name not in own}, folder)
        return [folder / name for name in files]
    return write_files(files, folder)


@dataclass(frozen=True)
class Moved:
    """What changed from one run to another."""

    comparisons: tuple[Comparison, ...]
    """The second run minus the first, cell by cell, with Holm's correction over all of them."""
    unpaired: tuple[str, ...]
    """Cells of both that cannot be paired: other prompts, no seed in common, or judged in part."""
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]


def moved(first: Path, second: Path) -> Moved:
    """The cells of two finished runs, paired on prompts and seeds.

    InputError if one is no finished run, or they have no cell in common.
    """
    (_, before, _), (_, after, analysis) = stored_tables(first), stored_tables(second)
    cells = [{(place, cell) for place, table in side.items() for cell in table} for side in (before, after)]
    common = cells[0] & cells[1]
    if not common:
        raise InputError(
            f"{visible(first)} and {visible(second)} have no cell in common: no condition under the same "
            "test template, suite and scorer."
        )
    found = list(_changes(before, after, analysis, visible(first)))
    paired_cells = {((c.suite, c.scorer, c.metric), CellName(c.condition, c.test_template)) for c in found}
    return Moved(
        tuple(with_holm(found)),
        _names(common - paired_cells),
        _names(cells[0] - cells[1]),
        _names(cells[1] - cells[0]),
    )


def _changes(
    before: Mapping[Place, Table], after: Mapping[Place, Table], analysis: Analysis, title: str
) -> Iterator[Comparison]:
    for place, table in after.items():
        for cell, runs in table.items():
            earlier = before.get(place, {}).get(cell)
            if earlier is None:
                continue
            reference = CellName(f"{cell.condition} in {title}", cell.test_template)
            both, contrast = {cell: runs, reference: earlier}, Contrast(cell, reference)
            if paired(contrast, both):
                yield compared(place, contrast, both, analysis)


def _names(cells: set[tuple[Place, CellName]]) -> tuple[str, ...]:
    return tuple(sorted(f"{cell}, {metric} ({scorer}) on {suite}" for (suite, scorer, metric), cell in cells))
