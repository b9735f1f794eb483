"""Conditions of a finished run against one of them, on the same prompts under the same test template.

Reads ``verdicts.jsonl``, so that what is compared is what people can open, and ``results.json`` for what the
study had planned. The planned comparison comes first, corrected for nothing but its own kind; everything else
is exploratory, with Holm's correction over all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from puretune.errors import InputError, unknown
from puretune.files import checked_path
from puretune.scoring import Measure
from puretune.statistics import Categories
from puretune.study.matrix.comparisons import Place, Table, compared, paired, with_holm
from puretune.study.matrix.matrix import Comparison, Matrix
from puretune.study.matrix.planned import planned_comparisons
from puretune.study.matrix.results import load_results
from puretune.study.matrix.run_directory import sound_file
from puretune.study.matrix.runs import AnswerKey, Runs, score_row
from puretune.study.matrix.verdict_file import VerdictRow, read_verdicts
from puretune.study.spec.analysis import Analysis, AnalysisSection, CellName, Contrast, contrasts_of
from puretune.templates import alias_of
from puretune.visible import visible

_Scores = dict[AnswerKey, float | None]
Tables = dict[Place, dict[CellName, Runs]]


def compare(
    run: Path,
    reference: str | None = None,
    metric: str | None = None,
    *,
    margin: float | None = None,
    seed_sd: float | None = None,
    categories: Categories | None = None,
) -> list[Comparison]:
    """What the study planned, then every condition against ``reference`` (the untuned model, or the first).

    Only the last step of each condition, and only cells that both have judged whole (a judge budget leaves
    cells in part). ``metric``, as ``asr (gpt-4)``, is compared alone where it is named. ``margin``,
    ``seed_sd`` and ``categories`` replace what the study says. InputError if there is no such condition or
    metric, nothing to compare, or where a file of the run is not as a run writes it.
    """
    folder = _folder(run)
    tables = verdict_tables(read_verdicts(sound_file(folder, "verdicts.jsonl")))
    conditions = dict.fromkeys(cell.condition for table in tables.values() for cell in table)
    if not conditions:
        raise InputError(
            f"{visible(folder)}: nothing in its verdicts.jsonl can be compared. Run the study again."
        )
    wanted = reference or ("untuned" if "untuned" in conditions else next(iter(conditions), ""))
    chosen = next((name for name in conditions if wanted in (name, alias_of(name))), None)
    if chosen is None:
        raise unknown("condition", wanted, conditions)
    labels = {f"{name} ({scorer})" for _, scorer, name in tables}
    if metric is not None and metric not in labels:
        raise unknown("metric", metric, labels)
    matrix = load_results(folder) if (folder / "results.json").exists() else None
    analysis = _analysis(matrix, margin, seed_sd, categories)
    kept = {place: table for place, table in tables.items() if metric in (None, f"{place[2]} ({place[1]})")}
    planned = _planned(matrix, kept, analysis)
    found = [*planned, *with_holm(_against(chosen, kept, analysis, planned))]
    if not found:
        raise InputError(f"{run}: no other condition was judged on the prompts of {chosen!r}.")
    return found


def stored_tables(run: Path) -> tuple[Matrix, Mapping[Place, Table], Analysis]:
    """The matrix of a finished run, the runs of its last steps from its stored verdicts, and its analysis.

    InputError if it is no finished run; CheckFailed where a file of it was changed.
    """
    folder = _folder(run)
    matrix = load_results(folder)
    tables = verdict_tables(read_verdicts(sound_file(folder, "verdicts.jsonl")))
    return matrix, tables, _analysis(matrix, None, None, None)


def _folder(run: Path) -> Path:
    folder = checked_path(run, "run directory")
    if folder.is_file():
        raise InputError(
            f"{visible(folder)}: a file, not a run. Give the directory that `puretune run` made."
        )
    return folder


def _against(
    chosen: str, tables: Tables, analysis: Analysis, planned: Sequence[Comparison]
) -> Iterator[Comparison]:
    """Every other condition minus the chosen one, but for what was planned already."""
    done = {(one.suite, one.scorer, one.metric, _contrast_of(one)) for one in planned}
    for place, table in tables.items():
        for cell in table:
            contrast = Contrast(cell, CellName(chosen, cell.test_template))
            new = cell.condition != chosen and (*place, contrast) not in done
            if new and paired(contrast, table):
                yield compared(place, contrast, table, analysis)


def _contrast_of(one: Comparison) -> Contrast:
    first = CellName(one.condition, one.test_template)
    return Contrast(first, CellName(one.reference, one.reference_template))


def _planned(matrix: Matrix | None, tables: Tables, analysis: Analysis) -> list[Comparison]:
    """The planned comparison on its primary metric."""
    if matrix is None:
        return []
    section = AnalysisSection(contrast=_said(matrix).get("contrast", ()))
    measures: Sequence[Measure] = matrix.measures
    found = planned_comparisons(contrasts_of(section), measures, tables, analysis)
    return [one for one in found if one.role == "planned"]


def _analysis(
    matrix: Matrix | None, margin: float | None, seed_sd: float | None, categories: Categories | None
) -> Analysis:
    """What the study says, but for what the caller says."""
    said = {name: value for name, value in _said(matrix).items() if name != "contrast"} if matrix else {}
    given = {"margin": margin, "seed_sd": seed_sd, "categories": categories}
    try:
        section = AnalysisSection(**{**said, **{k: v for k, v in given.items() if v is not None}})
    except ValueError:
        raise InputError(
            "results.json: the analysis is not one that a study can ask for. Run the study again."
        ) from None
    return Analysis.of(section)


def _said(matrix: Matrix) -> Mapping[str, Any]:
    """The analysis as the results keep it."""
    said = matrix.provenance.get("analysis", {})
    if not isinstance(said, Mapping):
        raise InputError("results.json: 'analysis' is not a mapping. Run the study again.")
    contrasts = said.get("contrast", ())
    if not isinstance(contrasts, list | tuple) or not all(isinstance(one, str) for one in contrasts):
        raise InputError("results.json: 'contrast' is not a list of texts. Run the study again.")
    return {**said, "contrast": tuple(contrasts)}


def verdict_tables(rows: Iterable[VerdictRow]) -> Tables:
    """The runs of the last steps, by suite, scorer and metric, then by cell."""
    held: dict[Place, dict[CellName, dict[int | None, _Scores]]] = {}
    for row in rows:
        if row.step is None:
            for metric, value in row.values.items():
                cells = held.setdefault((row.suite, row.scorer, metric), {})
                seeds = cells.setdefault(CellName(row.condition, row.test_template), {})
                key = AnswerKey(row.prompt_id, row.sample, row.draw or row.prompt_id, row.category)
                seeds.setdefault(row.seed, {})[key] = value
    return {
        place: {cell: runs for cell, seeds in cells.items() if (runs := _runs(seeds)) is not None}
        for place, cells in held.items()
    }


def _runs(seeds: Mapping[int | None, _Scores]) -> Runs | None:
    """The runs of a cell; None if they did not judge the same answers."""
    answers = sorted(next(iter(seeds.values())), key=lambda key: (key.prompt_id, key.sample))
    if any(set(scores) != set(answers) for scores in seeds.values()):
        return None
    rows = [score_row(scores[key] for key in answers) for scores in seeds.values()]
    return Runs(tuple(seeds), tuple(answers), rows)
