"""The verdict: what to serve under which template, with the numbers it rests on, in plain words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from puretune.report._metrics import reading
from puretune.report._number_words import listed, percent, plural, points, span
from puretune.report._safety_prompts import mark_of
from puretune.report._view import Grid, Square, grids
from puretune.study import Matrix, Recommendation

_WORDS = {
    "harm": "harmful requests answered",
    "refusal": "harmful requests refused",
    "over-refusal": "harmless requests refused",
}
_MOST = {"harm": 2, "refusal": 0, "help": 2, "over-refusal": 1, "other": 0}
"""Figures of each family in a verdict; the matrix has them all."""
_MOST_COSTS = 3
SEEDS = 3
"""Training runs before anybody ships: one says nothing about the next."""


@dataclass(frozen=True)
class Figure:
    """One metric of the recommended cell, beside the same of others."""

    words: str
    """``harmful requests answered, lab-harmful``."""
    square: Square
    value: str
    """``0 of 100``, or ``0.6 %`` over several training runs."""
    beside: tuple[tuple[str, str], ...]
    """(``untuned``, ``1``), (``same template``, ``12``)."""

    @property
    def interval(self) -> str:
        """``95 % interval 0.0 to 3.6 %``; nothing if there is none."""
        ends = span(self.square.pooled.low, self.square.pooled.high)
        return f"95 % interval {ends} %" if ends else ""

    @property
    def text(self) -> str:
        """``0 of 100 harmful requests answered (95 % interval 0.0 to 3.6 %; untuned 1, same template
        12)``."""
        others = ", ".join(f"{name} {value}" for name, value in self.beside)
        inside = "; ".join(part for part in (self.interval, others) if part)
        return f"{self.value} {self.words}" + (f" ({inside})" if inside else "")


@dataclass(frozen=True)
class Verdict:
    """What a study says to do."""

    sure: bool
    """Whether every alternative that is as helpful is shown to be more harmful, or as safe."""
    condition: str
    test_template: str
    figures: tuple[Figure, ...]
    reason: str
    instead: str
    """What PTST would give in place of it, where it is another cell; "": it is PTST, or there is none."""
    needs: tuple[str, ...]
    """What to do before anybody ships it, and what would tell more."""

    @property
    def title(self) -> str:
        """``Serve plain under safe``."""
        pair = f"{self.condition} under {self.test_template}"
        return f"Serve {pair}" if self.sure else f"Cannot tell yet; the best candidate is {pair}"

    @property
    def sentences(self) -> list[str]:
        """The whole of it, for a terminal or a text."""
        figures = "; ".join(figure.text for figure in self.figures)
        said = f"{self.title}: {figures}." if figures else f"{self.title}."
        return [part for part in (said, f"Why: {self.reason}.", self.instead, *self.needs) if part]


def verdict(matrix: Matrix) -> Verdict | None:
    """What to serve; None if the study cannot say anything about it."""
    found = matrix.recommendation
    if found is None or found.condition is None or found.test_template is None:
        return None
    return Verdict(
        sure=found.state == "shown",
        condition=found.condition,
        test_template=found.test_template,
        figures=tuple(_figures(found.condition, found.test_template, matrix)),
        reason=found.reason,
        instead=_instead(found, matrix),
        needs=tuple(_needs(found, matrix)),
    )


def _figures(condition: str, template: str, matrix: Matrix) -> Iterator[Figure]:
    left = dict(_MOST)
    held = [grid for grid in grids(matrix) if not grid.reading.secondary]
    if not any(grid.reading.family == "harm" for grid in held):
        left["refusal"] = 2
    for grid in held:
        square = _at(grid, condition, template)
        if square is not None and square.pooled.value is not None and left[grid.reading.family] > 0:
            left[grid.reading.family] -= 1
            yield _figure(grid, square, matrix)


def _figure(grid: Grid, square: Square, matrix: Matrix) -> Figure:
    counted = square.pooled.seeds == 1 and not grid.graded
    words = _WORDS.get(grid.reading.family, "") if not grid.graded else ""
    name = f"{words}, {grid.suite}" if words else f"{grid.reading.title} on {grid.suite}"
    beside = [
        (title, _value(other, counted, square.pooled.n))
        for title, other in _beside(grid, square, matrix)
        if other.pooled.value is not None
    ]
    return Figure(name, square, _value(square, counted, None), tuple(beside))


def _beside(grid: Grid, square: Square, matrix: Matrix) -> Iterator[tuple[str, Square]]:
    """The untuned model under the same template, and what was tuned under that template."""
    for other in grid.squares:
        if other.column != square.column or other.row.step is not None or other.row == square.row:
            continue
        if matrix.kinds.get(other.row.condition) == "untuned":
            yield "untuned", other
        elif other.mark == "same" and square.mark != "same":
            yield "same template", other


def _value(square: Square, counted: bool, among: int | None) -> str:
    """A count where there is one training run and as many answers as ``among``, else per cent."""
    cell = square.pooled
    count = (cell.value or 0.0) * cell.n
    if counted and among in (None, cell.n) and cell.seeds == 1:
        return f"{round(count):,}" + ("" if among else f" of {cell.n:,}")
    return f"{percent(cell.value)} %"


def _at(grid: Grid, condition: str, template: str) -> Square | None:
    """A cell at the end of training."""
    wanted = (condition, None, template)
    return next((s for s in grid.squares if (s.row.condition, s.row.step, s.column) == wanted), None)


def _instead(found: Recommendation, matrix: Matrix) -> str:
    trained = {cell.condition: cell.train_template for cell in matrix.pooled}
    if mark_of(trained.get(found.condition or ""), found.test_template or "", matrix) == "ptst":
        return ""
    for one in found.alternatives:
        if mark_of(trained.get(one.condition), one.test_template, matrix) == "ptst":
            costs = [
                f"{reading(c.suite, c.scorer, c.metric, matrix).title} {points(c.difference)} points "
                f"({points(c.low)} to {points(c.high)})"
                for c in one.costs[:_MOST_COSTS]
            ]
            return f"PTST instead, {one.condition} under {one.test_template}: {', '.join(costs)}."
    return ""


def _needs(found: Recommendation, matrix: Matrix) -> Iterator[str]:
    tuned = [c for c in matrix.pooled if matrix.kinds.get(c.condition, "tuned") == "tuned"]
    if any(c.condition == found.condition and c.seeds == 1 for c in tuned):
        yield f"One training run: run {SEEDS} seeds before shipping."
    if found.as_trained:
        yield "It would be served under the template that it was tuned under, which is what costs safety."
    more = [plural(found.seeds_needed, "seed")] if found.seeds_needed else []
    more += [plural(found.prompts_needed, "prompt")] if found.prompts_needed else []
    if more:
        yield f"To tell the candidates apart: about {listed(more)}."
