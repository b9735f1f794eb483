"""What a scorer's verdicts on a file come to: one row per metric, with an interval that says what for."""

from __future__ import annotations

import math

from rich.table import Table

from puretune.cli._output import new_console
from puretune.scoring import FileScore, Scorer, metric_names
from puretune.statistics import bounded_mean, prompts_of

FOR_WHAT = "95 % intervals for these answers' model and new prompts from the same source."


def print_table(table: Table, caption: str) -> None:
    """Print a table and, on a separate line, what its intervals are for."""
    console = new_console()
    console.print(table)
    console.print(caption, style="dim", highlight=False, markup=False, soft_wrap=True)


def summary(scorer: Scorer, scored: FileScore) -> Table:
    """Rates over all prompts, several answers to one averaged; an unparsed verdict widens the interval."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("metric")
    for column in ("value", "95 % interval", "answers", "prompts", "unparsed"):
        table.add_column(column, justify="right")
    prompts = prompts_of(scored.prompts)
    for metric in metric_names(scorer):
        values = [verdict.values.get(metric) for verdict in scored.verdicts]
        found = bounded_mean([[math.nan if value is None else float(value) for value in values]], prompts)
        shown = f"{found.least:.1%}" if found.unparsed < len(values) else "-"
        counts = (len(values), len(set(scored.prompts)), found.unparsed)
        table.add_row(metric, shown, f"{found.low:.1%} to {found.high:.1%}", *(f"{n:,}" for n in counts))
    return table
