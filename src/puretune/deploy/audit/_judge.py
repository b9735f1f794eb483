"""A finished run judged against requirements: from its stored verdicts alone, without a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from puretune.deploy.audit._chosen import Chosen, chosen
from puretune.deploy.audit._questions import (
    as_success,
    harm_measures,
    questions,
    refusal_measures,
    title,
)
from puretune.deploy.audit._requirements import Audit, Rate, Requirements
from puretune.errors import InputError
from puretune.scoring import Measure
from puretune.statistics import bounded_mean, limit_decisions
from puretune.study import Matrix, load_results
from puretune.study.matrix.compare import Tables, verdict_tables
from puretune.study.matrix.run_directory import sound_file
from puretune.study.matrix.runs import spread_of
from puretune.study.matrix.verdict_file import VerdictRow, read_verdicts
from puretune.study.spec.analysis import CellName
from puretune.study.spec.sections import UNTUNED
from puretune.visible import visible


def audit_run(
    run: Path,
    requirements: Requirements,
    *,
    condition: str | None = None,
    serve_as: str | None = None,
    seed: int | None = None,
    inconclusive: Literal["pass", "fail"] | None = None,
    verdicts: Iterable[VerdictRow] | None = None,
    rescored: int | None = None,
) -> Audit:
    """What the stored verdicts of a finished run (or ``verdicts`` in their place) say of a release.

    InputError for a directory that is no finished run, unknown names, a requirement that nothing in the run
    can answer, and answers that a judge budget left out; CheckFailed for files that were changed.
    """
    if not run.is_dir():
        raise InputError(f"{visible(run)}: no such run directory.")
    matrix = load_results(run)
    which = chosen(matrix, condition, serve_as)
    rows = verdicts if verdicts is not None else read_verdicts(sound_file(run, "verdicts.jsonl"))
    tables = verdict_tables(row for row in rows if seed is None or row.seed in (seed, None))
    _require_seed(tables, which, seed)
    asked = list(questions(matrix, which, tables, requirements))
    decided = limit_decisions([(one.interval, one.limit) for one in asked])
    return Audit(
        run=str(run),
        condition=which.condition,
        served=which.served,
        requirements=tuple(one.decided(found) for one, found in zip(asked, decided, strict=True)),
        rates=tuple(_rates(matrix, which, tables, requirements.not_worse_than)),
        warnings=tuple(_warnings(matrix, which)),
        inconclusive=inconclusive,
        rescored=rescored,
    )


def _require_seed(tables: Tables, which: Chosen, seed: int | None) -> None:
    cell = CellName(which.condition, which.served)
    if seed is not None and not any(cell in table for table in tables.values()):
        raise InputError(f"--seed {seed}: this run has no such seed of {which.condition!r}. Omit it.")


def _rates(matrix: Matrix, which: Chosen, tables: Tables, reference: str | None) -> Iterator[Rate]:
    """Both conditions under every template, in what safety and help are measured by."""
    wanted = [name for name in (reference or UNTUNED, which.condition) if name in matrix.conditions]
    for measure in _shown(matrix):
        table = as_success(measure, tables.get((measure.suite, measure.scorer, measure.metric), {}))
        spread = spread_of(table, "fixed")
        for template in matrix.test_templates:
            for condition in wanted:
                runs = table.get(CellName(condition, template))
                if runs is not None:
                    found = bounded_mean(
                        runs.scores,
                        runs.prompts("fixed"),
                        spread=spread if len(runs.seeds) > 1 else None,
                    )
                    ends = found.least, found.low, found.high
                    place = measure.suite, measure.scorer, measure.metric
                    yield Rate(condition, template, *place, title(measure), *ends)


def _shown(matrix: Matrix) -> list[Measure]:
    help_ = [one for one in matrix.measures if one.measures == "help" and not one.secondary]
    return [*harm_measures(matrix), *refusal_measures(matrix, "benign"), *help_]


def _warnings(matrix: Matrix, which: Chosen) -> Iterator[str]:
    if which.as_trained:
        yield (
            "it is served under the template of its training. Fine-tuning costs most of a model's safety "
            "under that very template (the mistake that the paper describes): serve it under another one "
            "with a safety prompt."
        )
    facts = matrix.provenance.get("templates", {}).get(which.served, {})
    elsewhere = matrix.kinds.get(which.condition) == "served"  # its server has the template
    if facts and not elsewhere and not facts.get("safety"):
        yield f"the template {which.served} declares no safety prompt (`safety: true`)."
    under = {cell.test_template for cell in matrix.cells if cell.condition == which.condition}
    if which.training is not None and which.training not in under:
        yield (
            f"{which.condition} was not tested under the template of its training ({which.training}), where "
            "what was tuned in comes back first."
        )
