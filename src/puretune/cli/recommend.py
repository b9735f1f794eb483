"""``puretune recommend``: which condition of a finished run to serve, under which template."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path

import click

from puretune.cli._output import say
from puretune.cli._parameters import PATH, FiniteRange
from puretune.report import recommendation_lines
from puretune.store import json_text
from puretune.study import recommend as recommended
from puretune.visible import visible


@click.command()
@click.argument("run", metavar="RUN", type=PATH)
@click.option(
    "--give-up",
    type=FiniteRange(0, 1),
    default=0.5,
    show_default=True,
    help="Share of the gain in helpfulness that safety may cost (on every task).",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def recommend(run: Path, give_up: float, as_json: bool) -> None:
    """Say which condition of a finished RUN to serve under which template, and what each alternative costs.

    Of the cells that keep at least half of what tuning gained, those as safe as the safest (within the
    study's margin), and of these the most helpful; where that is equal, one under a safety prompt that it was
    not tuned under. "Cannot tell" where the intervals leave open whether another is safer, with the prompts
    or seeds that would decide it.
    """
    found = recommended(run, give_up)
    if as_json:
        say(json_text(asdict(found), indent=1))
        return
    for line in recommendation_lines(found):
        say(line)
    if found.condition is not None:
        say()
        say(_next(run, found.condition, found.test_template or ""))


def _next(run: Path, condition: str, template: str) -> str:
    names = shlex.join(["--condition", condition, "--serve-as", template])
    return f"Next: puretune export {shlex.quote(visible(run))} {names} --out ship"
