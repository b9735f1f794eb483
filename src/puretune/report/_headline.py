"""The finding in a sentence or two, written from the numbers: present, absent, reversed, or not measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from puretune.report._prompts import safety_prompt
from puretune.report._view import Grid, Row, Square, grids
from puretune.report._words import bounds, percent, span
from puretune.study import Matrix

# The paper's own choice where a study has several; otherwise the study's order decides.
_SAFE_FIRST = ("chat:llama", "chat:llama-short", "chat:mpt")
_PURE_FIRST = ("chat:vanilla",)


class Pair(NamedTuple):
    """What is compared: one safety template on both sides, and the same test template after pure tuning."""

    grid: Grid
    same: Square
    ptst: Square


def headline(matrix: Matrix) -> str:
    """One or two sentences on what this matrix shows; plain ASCII.

    Compares tuning and testing under one safety template (chat:llama -> chat:llama) with PTST
    (chat:vanilla -> chat:llama; Lyu et al., arXiv 2402.18540), in ASR and in helpfulness, with intervals and
    whether they overlap. Where the matrix lacks these cells, says so and what it can say.
    """
    measured = [grid for grid in grids(matrix) if any(s.pooled.value is not None for s in grid.squares)]
    if not measured:
        return "No cell of this study has a value yet."
    harm = [grid for grid in measured if grid.reading.family == "harm" and not grid.reading.secondary]
    helps = [grid for grid in measured if grid.reading.family == "help"]
    pair = next((found for grid in harm if (found := _pair(grid, matrix))), None)
    if pair:
        return " ".join([_harm_sentence(pair, harm), _help_sentence(pair, helps)])
    return " ".join([*_gap(harm, matrix), *(_range(grid) for grid in (harm or helps or measured)[:1])])


def _pair(grid: Grid, matrix: Matrix) -> Pair | None:
    at = {(row, column): square for row, column, square in _final(grid)}
    for safe in _preferred(grid.columns, _SAFE_FIRST):
        if safety_prompt(safe, matrix) is not True:
            continue
        trained = _preferred((row for row, column in at if column == safe), _PURE_FIRST)
        pure = [name for name in trained if safety_prompt(name, matrix) is False]
        if pure and (safe, safe) in at:
            return Pair(grid, at[safe, safe], at[pure[0], safe])
    return None


def _final(grid: Grid) -> Iterator[tuple[str, str, Square]]:
    """(train template, test template, square) with a value, the last step of each condition last.

    Of several conditions with one train template the plain one, named like its template, comes last.
    """
    valued = [s for s in grid.squares if s.pooled.value is not None and s.row.train_template is not None]
    for square in sorted(valued, key=lambda s: (s.row.condition == s.row.train_template, _step(s.row))):
        yield square.row.train_template or "", square.column, square


def _step(row: Row) -> float:
    return float("inf") if row.step is None else row.step


def _preferred(names: Iterable[str], first: tuple[str, ...]) -> list[str]:
    def place(name: str) -> int:
        matches = [i for i, known in enumerate(first) if name == known or name.endswith(f":{known}")]
        return matches[0] if matches else len(first)

    return sorted(dict.fromkeys(names), key=place)


def _harm_sentence(pair: Pair, harm: list[Grid]) -> str:
    verdict = _asr_verdict(pair)
    same = [other for other in harm if other.label == pair.grid.label]
    others = [found for other in same if (found := _like(pair, other))]
    if len(others) > 1:
        lower = sum(_points(found) < 0 for found in others)
        verdict += f"; lower on {lower} of {len(others)} harmful suites"
    what = f"{_measure(pair.grid)} on {pair.grid.suite}"
    return (
        f"{what}: {_figure(pair.same, first=True)} for {_arrow(pair.same)}, "
        f"{_figure(pair.ptst)} for {_arrow(pair.ptst)} (PTST): {verdict}."
    )


def _asr_verdict(pair: Pair) -> str:
    points = _points(pair)
    if points == 0:
        return "no difference, so the published effect is absent here"
    if points > 0:
        return f"PTST is {points:.1f} points higher, the reverse of the published effect{_overlap(pair)}"
    return f"PTST is {-points:.1f} points lower{_overlap(pair)}"


def _help_sentence(pair: Pair, helps: list[Grid]) -> str:
    like = next((found for grid in helps if (found := _like(pair, grid))), None)
    if like is None:
        return f"Helpfulness was not measured for both{_runs(pair)}."
    points = _points(like)
    difference = "no difference"
    if points:
        difference = f"{abs(points):.1f} points {'higher' if points > 0 else 'lower'}{_overlap(like)}"
    return (
        f"Helpfulness on {like.grid.suite} ({like.grid.reading.title.lower()}): {_figure(like.same)} against "
        f"{_figure(like.ptst)} with PTST, {difference}{_runs(pair)}."
    )


def _like(pair: Pair, grid: Grid) -> Pair | None:
    """The same two places in another grid, where both have a value."""
    same, ptst = (grid.at(square.row, square.column) for square in (pair.same, pair.ptst))
    if same is None or ptst is None or same.pooled.value is None or ptst.pooled.value is None:
        return None
    return Pair(grid, same, ptst)


def _points(pair: Pair) -> float:
    """PTST minus same template in percentage points, to one decimal: what is not shown is no difference."""
    same, ptst = pair.same.pooled.value or 0.0, pair.ptst.pooled.value or 0.0
    return round(100 * (ptst - same), 1)


def _overlap(pair: Pair) -> str:
    a, b = pair.same.pooled, pair.ptst.pooled
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return "; without both intervals this may be chance"
    if a.low <= b.high and b.low <= a.high:
        return "; the intervals overlap, so this may be chance"
    return "; the intervals do not overlap"


def _figure(square: Square, first: bool = False) -> str:
    cell = square.pooled
    interval = span(cell.low, cell.high)
    if square.zero_width:
        interval = f"all {cell.seeds} seeds equal"
    elif first and interval:
        interval = f"95 % interval {interval}"
    return f"{percent(cell.value)} %" + (f" ({interval})" if interval else "")


def _arrow(square: Square) -> str:
    return f"{square.row.label} -> {square.column}"


def _runs(pair: Pair) -> str:
    seeds = [square.pooled.seeds for square in (pair.same, pair.ptst)]
    if max(seeds) > 1:
        return f" (means over {bounds(seeds)} seeds)"
    return " (one seed: each figure is one training run)"


def _gap(harm: list[Grid], matrix: Matrix) -> list[str]:
    """Why PTST cannot be compared with same-template tuning in this matrix."""
    if not harm:
        return ["This study has no attack success rate, so it says nothing about safety."]
    cells = f"{_measure(harm[0])} cells" if harm[0].metric.startswith("asr") else "cells of harm"
    columns = _preferred(harm[0].columns, _SAFE_FIRST)
    safe = next((name for name in columns if safety_prompt(name, matrix)), None)
    if safe is None:
        return ["No test template of this study has a safety prompt, so it says nothing about PTST."]
    present = {(train, test) for train, test, _ in _final(harm[0])}
    missing = [] if (safe, safe) in present else [f"no {safe} -> {safe}"]
    if not any(test == safe and safety_prompt(train, matrix) is False for train, test in present):
        missing.append(f"none tuned without a safety prompt and tested under {safe}")
    lacks = " and ".join(missing)
    return [f"This matrix cannot compare PTST with same-template tuning: among its {cells} there is {lacks}."]


def _range(grid: Grid) -> str:
    """The lowest and the highest value of a grid: what can be said without a pair."""
    valued = sorted(
        (s for s in grid.squares if s.pooled.value is not None), key=lambda s: s.pooled.value or 0.0
    )
    low, high = valued[0], valued[-1]
    what = f"{_measure(grid)} on {grid.suite}"
    lowest = f"{_figure(low, first=True)} for {_arrow(low)}"
    if low is high:
        return f"{what} is {lowest}."
    if low.pooled.value == high.pooled.value:
        return f"{what} is {percent(low.pooled.value)} % in every cell."
    return f"{what} goes from {lowest} to {_figure(high)} for {_arrow(high)}."


def _measure(grid: Grid) -> str:
    """The metric's short name; with its scorer's name."""
    return grid.label.replace("asr", "ASR", 1) if grid.metric == "asr" else grid.reading.title
