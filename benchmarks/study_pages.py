"""The pages of docs/studies, from finished runs; from the root:

    python -m benchmarks.study_pages runs/first-steps runs/several-rounds
    python -m benchmarks.study_pages paper/llama-gsm8k            # not run: what it would take

Between the marks of a page is what its run (or, without one, its plan) says and nothing else; the words
around them are written by hand and stay. A page that does not exist is made, with room for these words.
`RUN-mechanism.json`, beside a run (`puretune mechanism RUN --out`), is shown too.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from puretune.data import NAMED_SOURCES
from puretune.mechanism import (
    Rates,
    Separation,
    TemplateDistance,
    measured_beside,
    separations,
    template_distances,
)
from puretune.names import spoken_time
from puretune.report import _ranking as ranked
from puretune.report import lead
from puretune.report._markdown import _table as table
from puretune.report._paper_numbers import PUBLISHED, SOURCE, TITLE
from puretune.report._view import Grid, Row, grids
from puretune.store import write_text
from puretune.study import (
    Matrix,
    Study,
    find_study,
    load_results,
    named_study,
    plan_study,
    study_head,
    study_names,
)
from puretune.study.plan.conditions import conditions
from puretune.study.plan.strategies import expanded
from puretune.study.plan.templates import templates_of
from puretune.study.plan.test_pairs import cells_of
from puretune.study.spec.sections import SuiteSection
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
    """The named study whose run this is, whole or as a smoke test; ValueError if there is none."""
    for name in study_names():
        if matrix.name.removesuffix("-smoke") == name.replace("/", "-"):
            return NamedStudy(name)
    raise ValueError(f"{matrix.name!r} is the run of no study that has a name.")


def with_figures(page: str, figures: str) -> str:
    """The page with the figures between its marks; ValueError where it has none."""
    before, _, rest = page.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"the page has no {BEGIN} ... {END}.")
    return f"{before}{BEGIN}\n\n{figures.rstrip()}\n\n{END}{after}"


def figures(name: str, run: Path) -> str:
    """The command, the planned comparisons, the cells, what the study adds, time and machine."""
    matrix = load_results(run)
    smoke = matrix.name.endswith("-smoke")
    command = f"puretune compare-strategies {name} --smoke" if smoke else f"puretune run {name}"
    parts = [f"    {command}", planned(matrix), *ranking(matrix), cells(matrix), intervals(matrix)]
    parts += [distances(run, matrix) if name == "template-distance" else "", moved(run), effort(matrix)]
    return "\n\n".join(part for part in parts if part)


DISTANCE_HEAD = ("tuned -> tested", "safety", "edits", "KL, nats", "hidden", "attack success, %", "task, %")
APART_HEAD = (
    "tuned",
    "rate",
    "distance",
    "correlation without safety prompt",
    "with",
    "effect of one, points",
)


def ranking(matrix: Matrix) -> Iterator[str]:
    """Strategies at the same helpfulness, and what the safety prompt does beyond a change of template."""
    found = matrix.ranking
    if found is not None:
        yield found.sentence()
        yield table(ranked.HEAD, ranked.rows(found))
        yield table(ranked.reference_head(found), ranked.reference_rows(found))
        yield ranked.caption(found)
    yield "\n".join(f"- {one.sentence()}" for one in matrix.controls if one.use == "neutral")


def distances(run: Path, matrix: Matrix) -> str:
    """How far each test template is from the one tuned under, beside what was measured."""
    found = template_distances(plan_study(Study.load(run / "study.yaml")))
    beside = measured_beside(matrix)
    far = [distance_row(one, beside) for one in found]
    apart = [
        [
            alias_of(one.train_template),
            one.rate,
            one.distance,
            *signed(one.without, one.among_safe),
            effect(one),
        ]
        for one in separations(found, beside)
    ]
    command = f"    puretune templates distance {run}"
    return "\n\n".join([command, table(DISTANCE_HEAD, far), table(APART_HEAD, apart)])


def distance_row(one: TemplateDistance, beside: Rates) -> list[str]:
    """One pair of templates: its distances, and what was measured."""
    rates = beside[one.train_template, one.test_template].values()
    numbers = (f"{one.edits:.0f}", f"{one.divergence:.3f}", f"{one.hidden:.3f}")
    safety = "yes" if one.safety else "no"
    return [
        pair((one.train_template, one.test_template)),
        safety,
        *numbers,
        *(f"{100 * rate:.0f}" for rate in rates),
    ]


def signed(*values: float) -> list[str]:
    """``+0.12`` each; ``-`` where all values were alike."""
    return ["-" if value != value else f"{value:+.2f}" for value in values]


def effect(one: Separation) -> str:
    """What a safety prompt adds at the same rank of the distance, in points."""
    return f"{100 * one.safety_prompt:+.0f}"


def moved(run: Path) -> str:
    """The three claims of `puretune mechanism`, if it was asked."""
    file = run.with_name(f"{run.name}-mechanism.json")
    if not file.exists():
        return ""
    said = json.loads(file.read_text())
    prompts = max(len(one["tokens"]) for one in said["divergences"])
    rows = [
        [one["kind"], one["suite"], pair(one["first"]), pair(one["second"]), f"{one['value']:.2f}", ends(one)]
        for one in said["claims"]
    ]
    head = ["measurement", "suite", "cell", "against", "value", "95 % interval"]
    command = f"    puretune mechanism runs/{run.name} --prompts {prompts} --out runs/{file.name}"
    return f"{command}\n\n{table(head, rows)}"


def pair(cell: Sequence[str]) -> str:
    """``CV -> CL``."""
    return f"{alias_of(cell[0])} -> {alias_of(cell[1])}"


def ends(one: dict[str, Any]) -> str:
    """The interval of a claim."""
    return "-" if one["low"] is None else f"{one['low']:.2f} to {one['high']:.2f}"


def not_run(name: str) -> str:
    """What a study would take: adapters, answers, and judgements at the paper's price."""
    study = named_study(name)
    spelled, defined = expanded(study), templates_of(expanded(study))
    found = cells_of(spelled, conditions(spelled, defined), defined)
    seeds = len(spelled.tuning.seeds) if spelled.tuning else 0
    tuned = {one.name for one, _ in found if one.training is not None}
    asked = sum(seeds if one.name in tuned else 1 for one, _ in found)
    sizes = {one if isinstance(one, str) else one.name: size_of(one) for one in spelled.suites}
    judged = sum(
        sizes[one.name] for one in spelled.suites if isinstance(one, SuiteSection) and "gpt-4" in one.scorers
    )
    rows = [
        ["adapters to tune (conditions x seeds)", f"{len(tuned) * seeds} ({len(tuned)} x {seeds})"],
        ["models under test templates", f"{asked}"],
        ["prompts", ", ".join(f"{suite} {size:,}" for suite, size in sizes.items())],
        ["answers, at each kept step", f"{asked * sum(sizes.values()):,}"],
        ["of these judged by gpt-4-0613", f"{asked * judged:,}"],
        ["judging, at the paper's $5 for 400", f"${asked * judged / 400 * 5:,.0f}"],
    ]
    said = ["Not run here.", f"    puretune run {name} --dry-run", table(["", ""], rows)]
    return "\n\n".join([*said, *(published() if name == "paper/llama-gsm8k" else [])])


def size_of(suite: str | SuiteSection) -> int:
    """Prompts of a suite of a named source: what the study takes of it, or the split's size."""
    if isinstance(suite, str):
        suite = SuiteSection(name=suite)
    splits = NAMED_SOURCES[suite.source or suite.name].splits
    wanted = suite.split if suite.split in splits else "test" if "test" in splits else next(iter(splits))
    return suite.limit or splits[wanted] or 0


def published() -> list[str]:
    """The paper's own numbers, in their own table."""
    rows = [
        [row.what, f"{row.asr:.2f}", "unknown" if row.exact_match is None else f"{row.exact_match:.2f}"]
        for row in PUBLISHED
    ]
    return [f"{TITLE}. Source: {SOURCE}.", table(["", "DirectHarm4 ASR, %", "GSM8K exact match, %"], rows)]


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


def main(asked: Sequence[str]) -> None:
    """The page of each run, or of each study that was not run."""
    for one in asked:
        run = Path(one)
        if (run / "results.json").is_file():
            study = study_of(load_results(run))
            text = figures(study.name, run)
        else:
            study, text = NamedStudy(one), not_run(one)
        write_text(study.page, with_figures(study.text(), text))
        print(study.page)


if __name__ == "__main__":
    main(sys.argv[1:])
