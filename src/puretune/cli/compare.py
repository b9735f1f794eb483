"""``puretune compare``: which differences of a finished run are more than chance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from rich.table import Table

from puretune.cli._output import new_console
from puretune.cli._parameters import PATH
from puretune.study import Comparison
from puretune.study import compare as compared


@click.command()
@click.argument("run", metavar="RUN", type=PATH)
@click.option("--with", "reference", help="The condition to compare with.  [default: untuned]")
@click.option("--metric", help="Only this metric, as `asr (gpt-4)`.")
def compare(run: Path, reference: str | None, metric: str | None) -> None:
    """Every condition of a finished RUN minus one of them, on the same prompts under the same template.

    One adapter against another: McNemar's exact test, for new prompts. Several seeds: t on the seeds' means,
    for new training runs. The last column is Holm's correction over the whole table.
    """
    found = compared(run, reference, metric)
    console = new_console()
    console.print(f"minus {found[0].reference}, in points of 100", style="bold")
    console.print(_table(found))
    for line in _notes(found):
        console.print(line, style="dim", markup=False, highlight=False)


def _table(found: Sequence[Comparison]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("suite", "metric", "condition", "tested under"):
        table.add_column(column, overflow="fold")
    for column in ("difference", "95 % interval", "p", "Holm"):
        table.add_column(column, justify="right", no_wrap=True)
    for one in found:
        interval = f"{100 * one.low:+.1f} to {100 * one.high:+.1f}"
        figures = (f"{100 * one.difference:+.1f}", interval, _p(one.p), _p(one.holm))
        table.add_row(one.suite, one.metric, one.condition, one.test_template, *figures)
    return table


def _p(value: float | None) -> str:
    return "-" if value is None else "<0.001" if value < 0.001 else f"{value:.3f}"


def _notes(found: Sequence[Comparison]) -> list[str]:
    """What the intervals are for and how they were made, each kind once."""
    kinds = dict.fromkeys((one.estimand, one.method) for one in found)
    return [f"Interval for {estimand}: {method}." for estimand, method in kinds]
