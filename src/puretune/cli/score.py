"""``puretune score``: score a file of answers, whoever made them."""

from __future__ import annotations

from pathlib import Path

import click

from puretune.cli._output import say
from puretune.cli._parameters import FILE, free_file
from puretune.cli._summary import FOR_WHAT, print_table, summary
from puretune.scoring import score_file, scorer_named, thoughts_sentence


@click.command()
@click.argument("file", type=FILE)
@click.option(
    "--scorer", "name", required=True, help="gsm8k, choice, refusal, or a scorer of an installed package."
)
@click.option("--out", type=FILE, required=True, help="File for the verdicts (.jsonl).")
@click.option("--force", is_flag=True, help="Replace OUT if it exists.")
def score(file: Path, name: str, out: Path, force: bool) -> None:
    """Score the answers in FILE (JSON lines with query, reference, answer); writes one verdict per line
    to OUT."""
    free_file(out, file, force)
    scorer = scorer_named(name)
    scored = score_file(file, scorer, out)
    print_table(summary(scorer, scored), FOR_WHAT)
    if scored.thoughts:
        say(thoughts_sentence(scored.thoughts), err=True)
    say(f"{len(scored.verdicts):,} verdicts in {out}", err=True)
