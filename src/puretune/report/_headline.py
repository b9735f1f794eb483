"""The finding in a few sentences, written from the planned comparison: what it shows, and what it cannot
tell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from puretune.report._conclusion import concluded, p_value
from puretune.report._metrics import measure, reading
from puretune.report._number_words import listed, percent, plural, points, span
from puretune.report._safety_prompts import mark_of, safety_prompt
from puretune.report._view import Grid, Row, Square, grids
from puretune.study import Comparison, Matrix
from puretune.templates import alias_of

if TYPE_CHECKING:
    from puretune.scoring import Measure

_MOST = 4
"""Exploratory comparisons in the headline; `puretune compare` shows all."""

_NO_HARM = "No suite of this study asks for harm, so it says nothing about safety."


def headline(matrix: Matrix) -> str:
    """What this matrix shows, in a few sentences; plain ASCII but for the names in it.

    The planned comparison leads (by default tuning and testing under one safety template minus PTST; Lyu et
    al., arXiv 2402.18540), with its interval, its p value and what they say against the margin. Where there
    is none, the headline says why and what the matrix can say.
    """
    measured = [grid for grid in grids(matrix) if any(s.pooled.value is not None for s in grid.squares)]
    if not measured:
        return "No cell of this study has a value yet."
    planned, asked = [one for one in matrix.comparisons if one.role == "planned"], _about_harm(measured)
    if planned:
        return " ".join([*(_finding(one, matrix) for one in planned), *remarks(matrix)])
    return " ".join([*_gap(asked, matrix), _range((asked or measured)[0])])


def remarks(matrix: Matrix) -> list[str]:
    """What belongs to the planned comparison: its training runs, and the same two cells in other metrics."""
    planned = next((one for one in matrix.comparisons if one.role == "planned"), None)
    if planned is None:
        return []
    silent = [] if _about_harm(grids(matrix)) else [_NO_HARM]
    return [*silent, _training_runs(planned), *_exploratory(planned, matrix)]


class ContrastLine(NamedTuple):
    """A planned comparison, taken apart for a page."""

    what: str
    """``Attack success rate (judge) on advbench``."""
    sides: str
    """``same template (CL -> CL) minus PTST (CV -> CL)``."""
    comparison: Comparison
    p: str
    conclusion: str


def contrasts(matrix: Matrix) -> list[ContrastLine]:
    """The planned comparisons, in the study's order."""
    planned = [one for one in matrix.comparisons if one.role == "planned"]
    return [_contrast_line(one, matrix) for one in planned]


def _contrast_line(one: Comparison, matrix: Matrix) -> ContrastLine:
    what = f"{reading(one.suite, one.scorer, one.metric, matrix).title} on {one.suite}"
    sides = " minus ".join(_side_name(one, *cell, matrix) for cell in _cells(one))
    return ContrastLine(what, sides, one, p_value(one), _concluded(one, matrix))


def lead(matrix: Matrix) -> str:
    """The planned comparison in one sentence, to stand above the matrix; "" if there is none."""
    return "\n".join(map(_lead, contrasts(matrix)))


def _lead(line: ContrastLine) -> str:
    one = line.comparison
    runs = f"; {plural(one.seeds, 'training run')} each" if one.seeds else ""
    return (
        f"{line.what}, {line.sides}: {points(one.difference)} points "
        f"(95 % interval {points(one.low)} to {points(one.high)}{runs}), {line.p}: {line.conclusion}."
    )


def _side_name(one: Comparison, condition: str, template: str, matrix: Matrix) -> str:
    """``same template (CL -> CL)``, ``PTST (CV -> CL)``, ``mine -> CL``."""
    square = _square(one, condition, template, matrix)
    pair = f"{square.row.short if square else condition} -> {alias_of(template)}"
    name = {"ptst": "PTST", "same": "same template"}.get(square.mark or "" if square else "")
    return f"{name} ({pair})" if name else pair


def _about_harm(measured: list[Grid]) -> list[Grid]:
    """Harm where it was measured, else refusals of harmful requests."""
    for family in ("harm", "refusal"):
        if found := [grid for grid in measured if grid.reading.family == family]:
            return found
    return []


def _finding(one: Comparison, matrix: Matrix) -> str:
    values = [_side(one, condition, template, matrix) for condition, template in _cells(one)]
    return (
        f"{_title(one, matrix)} on {one.suite}: {' and '.join(values)}. Difference {_difference(one)}, "
        f"{p_value(one)}: {_concluded(one, matrix)}."
    )


def _cells(one: Comparison) -> tuple[tuple[str, str], tuple[str, str]]:
    return (one.condition, one.test_template), (one.reference, one.reference_template)


def _side(one: Comparison, condition: str, template: str, matrix: Matrix) -> str:
    """``4.0 % (1.1 to 9.9) for chat:vanilla -> chat:llama (PTST)``."""
    square = _square(one, condition, template, matrix)
    figure = f"{_figure(square)} for " if square else ""
    ptst = " (PTST)" if square and square.mark == "ptst" else ""
    return f"{figure}{square.row.label if square else condition} -> {template}{ptst}"


def _square(one: Comparison, condition: str, template: str, matrix: Matrix) -> Square | None:
    """The cell in the matrix that a side of a comparison is, at the end of training."""
    wanted = (one.suite, one.scorer, one.metric, condition, None, template)
    for cell in matrix.pooled:
        found = (cell.suite, cell.scorer, cell.metric, cell.condition, cell.step, cell.test_template)
        if found == wanted:
            row = Row(cell.condition, cell.step, cell.train_template)
            return Square(row, template, cell, (), mark_of(cell.train_template, template, matrix))
    return None


def _difference(one: Comparison) -> str:
    interval = f"{points(one.low)} to {points(one.high)}"
    return f"{points(one.difference)} points (95 % interval {interval})"


def _concluded(one: Comparison, matrix: Matrix) -> str:
    said = concluded(one)
    if one.conclusion in ("equivalent", "inconclusive"):
        return said
    first, second = (_short(one, *cell, matrix) for cell in _cells(one))
    if first == second:  # two rounds of PTST, say
        first, second = (" -> ".join(cell) for cell in _cells(one))
    better = _better(one, matrix)
    if better is None:
        return said
    winner, loser = (first, second) if one.conclusion == better else (second, first)
    return f"{said}: {winner} is better than {loser}"


def _short(one: Comparison, condition: str, template: str, matrix: Matrix) -> str:
    """A side in a conclusion; one training run says nothing of PTST, so its two models are named."""
    if one.seeds == 1 and one.seed_sd is None:
        return f"{condition} -> {template}"
    square = _square(one, condition, template, matrix)
    named = {"ptst": "PTST", "same": "the same template on both sides"}
    mark = square.mark if square else None
    return named[mark] if mark else f"{condition} -> {template}"


def _better(one: Comparison, matrix: Matrix) -> str | None:
    """Which direction is better in this metric."""
    found: Measure | None = measure(one.suite, one.scorer, one.metric, matrix)
    return found.better if found else None


def _training_runs(one: Comparison) -> str:
    """What one run, or several, can tell."""
    if one.seeds > 1:
        spread = "" if one.seed_sd is None else f"; their standard deviation is estimated at {_sd(one)}"
        return f"Means over {one.seeds} training runs{spread}."
    if one.seeds == 0:
        return "Nothing was tuned: this applies to this model."
    if one.seed_sd is not None:
        return f"One training run each; between training runs a standard deviation of {_sd(one)} is assumed."
    return (
        f"One training run each: this applies to {one.estimand}, and says nothing about what the templates "
        "do in another training run."
    )


def _sd(one: Comparison) -> str:
    return f"{100 * (one.seed_sd or 0):.1f} points"


def _exploratory(planned: Comparison, matrix: Matrix) -> Iterator[str]:
    """The same two cells in other metrics and suites."""
    others = [o for o in matrix.comparisons if o.role == "exploratory" and _cells(o) == _cells(planned)]
    if others:
        said = [
            f"{_title(o, matrix)} on {o.suite} {points(o.difference)} ({points(o.low)} to {points(o.high)}), "
            f"{concluded(o)}"
            for o in others[:_MOST]
        ]
        yield f"Exploratory, differences of the same two cells in points: {'; '.join(said)}."
    if not any(_measures(o, matrix) == "help" for o in (planned, *others)):
        yield "Helpfulness was not measured for both."


def _measures(one: Comparison, matrix: Matrix) -> str | None:
    found = measure(one.suite, one.scorer, one.metric, matrix)
    return found.measures if found else None


def _title(one: Comparison, matrix: Matrix) -> str:
    """The metric's short name; with its scorer's name."""
    return _named(one.metric, one.label, reading(one.suite, one.scorer, one.metric, matrix).title)


def _named(metric: str, label: str, title: str) -> str:
    return label.replace("asr", "ASR", 1) if metric == "asr" else title


def _figure(square: Square) -> str:
    cell = square.pooled
    interval = span(cell.low, cell.high)
    return f"{percent(cell.value)} %" + (f" ({interval})" if interval else "")


def _gap(asked: list[Grid], matrix: Matrix) -> Iterator[str]:
    """Why this matrix has no planned comparison."""
    named = _contrasts(matrix)
    if named:
        yield (
            f"The planned comparison ({'; '.join(named)}) could not be made: it needs two cells that were "
            "judged whole, on the same prompts."
        )
    elif not asked:
        yield _NO_HARM
    elif not any(safety_prompt(name, matrix) for name in asked[0].columns):
        yield "No test template of this study carries safety instructions, so it says nothing about PTST."
    else:
        why = listed(_missing(asked[0], matrix))
        yield f"This matrix cannot compare PTST with same-template tuning: {why}."


def _contrasts(matrix: Matrix) -> list[str]:
    analysis: Any = matrix.provenance.get("analysis")
    return [str(one) for one in analysis.get("contrast", ())] if isinstance(analysis, dict) else []


def _missing(grid: Grid, matrix: Matrix) -> Iterator[str]:
    safe = next(name for name in grid.columns if safety_prompt(name, matrix))
    valued = [s for s in grid.squares if s.pooled.value is not None and s.column == safe]
    trained = {square.row.train_template for square in valued} - {None}
    if safe not in trained:
        yield f"it has no {safe} -> {safe}"
    if not any(safety_prompt(name, matrix) is False for name in trained if name is not None):
        yield f"nothing tuned without safety instructions was tested under {safe}"
    if safe in trained and any(safety_prompt(name or "", matrix) is False for name in trained):
        yield "the two cells were not judged whole, or have no seed in common"


def _range(grid: Grid) -> str:
    """The lowest and the highest value of a grid: what can be said without a pair."""
    valued = sorted(
        (s for s in grid.squares if s.pooled.value is not None), key=lambda s: s.pooled.value or 0.0
    )
    low, high = valued[0], valued[-1]
    what = f"{_named(grid.metric, grid.label, grid.reading.title)} on {grid.suite}"
    lowest = f"{_figure(low)} for {_arrow(low)}"
    if low is high:
        return f"{what} is {lowest}."
    if low.pooled.value == high.pooled.value:
        return f"{what} is {percent(low.pooled.value)} % in every cell."
    over = plural(max(square.pooled.seeds for square in valued), "training run")
    return f"{what} goes from {lowest} to {_figure(high)} for {_arrow(high)} (95 % intervals; {over} each)."


def _arrow(square: Square) -> str:
    return f"{square.row.label} -> {square.column}"
