"""What a scorer's verdicts on a file come to: one row per metric, with an interval that says what for."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from puretune.cli._output import new_console
from puretune.scoring import FileScore, Scorer, metric_names
from puretune.statistics import t_interval, wilson

FOR_WHAT = "95 % intervals for new prompts from the same source."


def print_table(table: Table, caption: str) -> None:
    """Print a table and, on a line of its own, what its intervals are for."""
    console = new_console()
    console.print(table)
    console.print(caption, style="dim", highlight=False, markup=False, soft_wrap=True)


def summary(scorer: Scorer, scored: FileScore) -> Table:
    """Rates over all answers; an unparsed verdict widens the interval to what it could have been."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("metric")
    for column in ("value", "95 % interval", "n", "unparsed"):
        table.add_column(column, justify="right")
    n = len(scored.verdicts)
    for metric in metric_names(scorer):
        values = [verdict.values.get(metric) for verdict in scored.verdicts]
        known = [float(value) for value in values if value is not None]
        low, high = _interval(known, n - len(known))
        shown = f"{sum(known) / n:.1%}" if known else "-"
        table.add_row(metric, shown, f"{low:.1%} to {high:.1%}", f"{n:,}", f"{n - len(known):,}")
    return table


def _interval(known: Sequence[float], unparsed: int) -> tuple[float, float]:
    """For new prompts from the same source: Wilson for shares, Student's t for means."""
    n = len(known) + unparsed
    least, most = [*known, *[0.0] * unparsed], [*known, *[1.0] * unparsed]
    if set(known) <= {0.0, 1.0} or n < 2:
        return wilson(round(sum(least)), n).low, wilson(round(sum(most)), n).high
    return t_interval(least, clip=True).low, t_interval(most, clip=True).high
