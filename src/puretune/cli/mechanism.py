"""``puretune mechanism``: how far tuning moved the models of a finished run, under each test template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from puretune.cli._output import new_console, say
from puretune.cli._parameters import FILE, PATH
from puretune.cli._progress import progress
from puretune.templates import alias_of

if TYPE_CHECKING:
    from puretune.mechanism import Claim, Divergence
    from puretune.study.spec.analysis import CellName

_EXPLAINED = {
    "same template": "Same template: the first cell's divergence minus the second's",
    "reminder": "Reminder: divergence under a safety prompt minus under the most similar other system prompt",
    "carry-over": "Carry-over: divergence under another template, as a share of that under the tuned one",
}


@click.command()
@click.argument("run", metavar="RUN", type=PATH)
@click.option(
    "--prompts",
    type=click.IntRange(1, 100_000),
    default=24,
    show_default=True,
    help="The first N prompts of each suite.",
)
@click.option("--out", type=FILE, help="Write every token's divergence to this JSON file.")
def mechanism(run: Path, prompts: int, out: Path | None) -> None:
    """How far tuning moved the models of a finished RUN from the untuned one, and where.

    Along the untuned model's own answers to the prompts of each suite: KL of its next-token distributions to
    the tuned model's, in nats a token. Then three explanations of the paper's finding, as measurements.
    """
    from puretune.mechanism import claims, divergences, finished_plan

    plan, store = finished_plan(run)
    with progress() as sink:
        found = divergences(plan, store, prompts, on_event=sink)
    made = claims(plan, found)
    console = new_console()
    console.print(_cells(found))
    for kind, title in _EXPLAINED.items():
        if mine := [one for one in made if one.kind == kind]:
            say(f"\n{title}:")
            console.print(_claims(mine))
    if out is not None:
        _write(out, found, made)
        say(out)


def _cells(found: Sequence[Divergence]) -> Table:
    """The first run of each cell after another, seeds averaged."""
    from puretune.statistics import mean

    held: dict[tuple[str, str, str], list[Divergence]] = {}
    for one in found:
        held.setdefault((one.suite, one.condition, one.test_template), []).append(one)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("suite")
    table.add_column("cell", overflow="fold")
    for column in ("first token", "all tokens", "runs"):
        table.add_column(column, justify="right")
    for (suite, condition, test), runs in held.items():
        first = mean(tokens[0] for one in runs for tokens in one.tokens)
        whole = mean(value for one in runs for value in one.by_prompt)
        name = f"{alias_of(condition)} -> {alias_of(test)}"
        table.add_row(suite, name, f"{first:.3f}", f"{whole:.3f}", str(len(runs)))
    return table


def _claims(found: Sequence[Claim]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column("suite")
    table.add_column("cells", overflow="fold")
    table.add_column("value", justify="right")
    table.add_column("interval", justify="right")
    for one in found:
        between = "against" if one.kind == "carry-over" else "minus"
        ends = "" if one.low is None else f"({one.low:.2f} to {one.high:.2f})"
        cells = f"{_short(one.first)} {between} {_short(one.second)}"
        table.add_row(one.suite, cells, f"{one.value:.2f}", ends)
    return table


def _short(cell: CellName) -> str:
    return f"{alias_of(cell.condition)} -> {alias_of(cell.test_template)}"


def _write(out: Path, found: Sequence[Divergence], made: Sequence[Claim]) -> None:
    from puretune.store import json_text, write_text

    content = {"divergences": [asdict(one) for one in found], "claims": [asdict(one) for one in made]}
    write_text(out, json_text(content, indent=1) + "\n")
