"""The matrix as a reader sees it: one grid per metric and suite, conditions down, test templates across."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from puretune.report._metrics import Reading, reading
from puretune.report._number_words import bounds, listed, percent, plural, span
from puretune.report._safety_prompts import Mark, mark_of
from puretune.study import CellResult, Matrix, PooledCell
from puretune.templates import alias_of

BEHAVIOURS = ("refused", "complied", "incoherent", "empty")
_FAMILIES = ("harm", "help", "over-refusal", "refusal", "other")


@dataclass(frozen=True)
class Row:
    """One condition at one kept step."""

    condition: str
    step: int | None
    train_template: str | None

    @property
    def label(self) -> str:
        """The condition, with its train template and step where they are not clear from its name."""
        return self._with(self.condition, self.train_template)

    @property
    def short(self) -> str:
        """The label with the templates' short names (``CL``)."""
        train = self.train_template and alias_of(self.train_template)
        return self._with(alias_of(self.condition), train)

    def _with(self, name: str, train: str | None) -> str:
        named = f"{name} ({train})" if train and train != name else name
        return named if self.step is None else f"{named}, step {self.step}"


@dataclass(frozen=True)
class Square:
    """One measured place of a grid: the mean over seeds, and the runs behind it."""

    row: Row
    column: str
    pooled: PooledCell
    runs: tuple[CellResult, ...]
    mark: Mark | None

    @property
    def counts(self) -> Counter[str]:
        """The counts of all runs together."""
        total: Counter[str] = Counter()
        for run in self.runs:
            total.update(run.counts)
        return total


@dataclass(frozen=True)
class Grid:
    """One metric of one suite over the whole matrix."""

    suite: str
    scorer: str
    metric: str
    reading: Reading
    rows: tuple[Row, ...]
    columns: tuple[str, ...]
    squares: tuple[Square, ...]

    @property
    def label(self) -> str:
        """``asr (gpt-4)``: the metric with the scorer whose it is."""
        return f"{self.metric} ({self.scorer})"

    @property
    def harmless(self) -> bool:
        """Whether answering is what was asked for: complying is then no alarm."""
        return self.reading.asks in ("task", "benign")

    @property
    def graded(self) -> bool:
        """Whether an answer has a degree, not a yes or a no."""
        return self.reading.graded

    @property
    def constant(self) -> str:
        """One line in place of a matrix whose cells all have the same value; "" for any other."""
        values = set(self.values())
        if len(self.squares) < 2 or len(values) > 1 or None in values:
            return ""
        ends = [(s.pooled.low, s.pooled.high) for s in self.squares]
        lows, highs = ([end for end in side if end is not None] for side in zip(*ends, strict=True))
        interval = f" (95 % intervals within {span(min(lows), max(highs))})" if lows and highs else ""
        return f"{percent(self.squares[0].pooled.value)} % in all {len(self.squares)} cells{interval}"

    def at(self, row: Row, column: str) -> Square | None:
        """The square at that place, or None if nothing was measured."""
        return next((s for s in self.squares if s.row == row and s.column == column), None)

    def values(self) -> list[float | None]:
        """The values of all squares."""
        return [square.pooled.value for square in self.squares]

    @property
    def direction(self) -> str:
        """``lower is better``, or nothing."""
        return f"{self.reading.better} is better" if self.reading.better else ""

    @property
    def caption(self) -> str:
        """What the intervals are for, how many answers and seeds, and what a reader should be wary of."""
        if not self.squares:
            return "Nothing was measured."
        for_what: dict[str, list[PooledCell]] = {}
        for square in self.squares:
            for_what.setdefault(square.pooled.estimand, []).append(square.pooled)
        intervals = listed(f"for {estimand} ({_size(cells)})" for estimand, cells in for_what.items())
        return " ".join([f"95 % intervals {intervals}.", *self.notes])

    @property
    def notes(self) -> list[str]:
        """Truncated, incoherent, empty and unparsed answers if there are any; spread between training
        runs."""
        counts = sum((square.counts for square in self.squares), Counter())
        asked = sum(run.n for square in self.squares for run in square.runs)
        wary = [
            f"{counts[k]:,} {k}"
            for k in ("truncated", "incoherent", "empty", "unparsed", "errors")
            if counts[k] > 0
        ]
        if counts["unjudged"]:
            wary.append(f"{counts['unjudged']:,} left unjudged by the judge budget")
        notes = [f"Of {plural(asked, 'answer')}: {', '.join(wary)}."] if wary else []
        effects = [
            cell.pooled.design_effect for cell in self.squares if cell.pooled.design_effect is not None
        ]
        if effects:
            notes.append(f"Design effect of the categories: {_from_to(effects, 1)}.")
        return [*notes, *self._seed_spread()]

    def _seed_spread(self) -> Iterator[str]:
        """How far training runs differ, where several were compared."""
        spreads = [
            s.pooled.seed_sd for s in self.squares if s.pooled.seed_sd is not None and s.pooled.seeds > 1
        ]
        if spreads:
            size = _from_to(spreads, 100)
            yield f"Standard deviation between training runs, estimated over all conditions: {size} points."


def grids(matrix: Matrix) -> list[Grid]:
    """All grids: harm, helpfulness, over-refusal, refusal, others; suites in the study's order in each."""
    columns = _ordered(matrix.test_templates, (cell.test_template for cell in matrix.pooled))
    suites = _ordered(matrix.suites, (cell.suite for cell in matrix.pooled))
    rows, squares = _rows(matrix), defaultdict(list)
    for square in _squares(matrix):
        squares[square.pooled.suite, square.pooled.scorer, square.pooled.metric].append(square)
    found = [
        Grid(suite, scorer, metric, reading(suite, scorer, metric, matrix), rows, columns, tuple(held))
        for (suite, scorer, metric), held in squares.items()
    ]

    def place(grid: Grid) -> tuple[bool, int, int]:
        kind = grid.reading
        return kind.secondary, _FAMILIES.index(kind.family), suites.index(grid.suite)

    return sorted(found, key=place)


def told_by(grid: Grid, others: Iterable[Grid]) -> Grid | None:
    """The matrix of the same suite of which this one is the rest to 100 % in every cell, if there is one."""
    mine = {(s.row, s.column): s.pooled.value for s in grid.squares}
    for other in others:
        if other.suite != grid.suite or other is grid or len(mine) != len(other.squares):
            continue
        sums = [_sum(mine.get((s.row, s.column)), s.pooled.value) for s in other.squares]
        if all(total is not None and abs(total - 1) < 1e-9 for total in sums):
            return other
    return None


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def behaviour_grids(matrix: Matrix) -> list[Grid]:
    """One grid per suite whose answers have a judged behaviour: the first of its metrics with counts."""
    chosen: dict[str, Grid] = {}
    for grid in grids(matrix):
        if any(square.counts[name] for square in grid.squares for name in BEHAVIOURS):
            chosen.setdefault(grid.suite, grid)
    return list(chosen.values())


def _from_to(values: list[float], scale: float) -> str:
    """``1.0``, or ``1.0 to 2.5`` where they differ."""
    low, high = (f"{scale * value:.1f}" for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def _size(cells: list[PooledCell]) -> str:
    n, seeds = bounds(cell.n for cell in cells), bounds(cell.seeds for cell in cells)
    trained = "" if cells[0].estimand.startswith("this model") else f", {seeds} seed{'s' * (seeds != '1')}"
    return f"n = {n} answer{'s' * (n != '1')} per cell{trained}"


def _squares(matrix: Matrix) -> Iterator[Square]:
    runs = defaultdict(list)
    for run in matrix.cells:
        runs[_key(run)].append(run)
    for cell in matrix.pooled:
        row = Row(cell.condition, cell.step, cell.train_template)
        mark = mark_of(cell.train_template, cell.test_template, matrix)
        held = sorted(runs[_key(cell)], key=lambda run: -1 if run.seed is None else run.seed)
        yield Square(row, cell.test_template, cell, tuple(held), mark)


def _key(cell: CellResult | PooledCell) -> tuple[object, ...]:
    return cell.condition, cell.step, cell.test_template, cell.suite, cell.scorer, cell.metric


def _rows(matrix: Matrix) -> tuple[Row, ...]:
    names = _ordered(matrix.conditions, (cell.condition for cell in matrix.pooled))
    order = {
        name: place
        for place, name in enumerate(sorted(names, key=lambda name: matrix.kinds.get(name) != "untuned"))
    }
    rows = dict.fromkeys(Row(c.condition, c.step, c.train_template) for c in matrix.pooled)

    def place(row: Row) -> tuple[int, bool, int]:
        return order[row.condition], row.step is None, row.step or 0

    return tuple(sorted(rows, key=place))


def _ordered(declared: Iterable[str], found: Iterable[str]) -> tuple[str, ...]:
    """The declared names, then those found beside them; a declared name without a find stays out."""
    present = dict.fromkeys(found)
    return tuple(dict.fromkeys([*(name for name in declared if name in present), *present]))
