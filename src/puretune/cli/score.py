"""``puretune score``: score a file of answers, whoever made them."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from puretune.errors import InputError
from puretune.scoring import FileScore, score_file, scorer_named
from puretune.statistics import wilson


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--scorer", "name", required=True, help="gsm8k, choice, refusal, or one a package offers.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Where the verdicts go (.jsonl).")
@click.option("--force", is_flag=True, help="Replace OUT where it exists.")
def score(file: Path, name: str, out: Path, force: bool) -> None:
    """Score the answers in FILE (JSON lines with query, reference, answer); a verdict a line goes to OUT."""
    if out.exists() and not force:
        raise InputError(f"{out} exists. Choose another --out, or replace it with --force.")
    if out.exists() and file.exists() and out.samefile(file):
        raise InputError(f"{out} is the file of answers itself. Choose another --out.")
    scorer = scorer_named(name)
    scored = score_file(file, scorer, out)
    Console().print(_summary(scored))
    click.echo(f"{len(scored.verdicts):,} verdicts in {out}", err=True)


def _summary(scored: FileScore) -> Table:
    """Rates over all answers; the interval speaks of new prompts from the same source."""
    n = len(scored.verdicts)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("metric")
    for column in ("value", "95 % interval (Wilson)", "n", "unparsed"):
        table.add_column(column, justify="right")
    for metric, total in scored.successes.items():
        low, high = wilson(round(total), n)
        interval = f"{low:.1%} to {high:.1%}" if total == round(total) else "-"
        table.add_row(metric, f"{total / n:.1%}", interval, f"{n:,}", f"{scored.unparsed:,}")
    return table
