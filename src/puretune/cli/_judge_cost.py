"""``puretune judge cost``: what judging will cost, before it starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from puretune.cli._output import say
from puretune.cli._parameters import PATH
from puretune.cli.judge import described, judge_options
from puretune.errors import InputError


@click.command("cost")
@click.argument("what", metavar="STUDY.yaml|NAME|FILE.jsonl")
@judge_options
@click.option("--run", "run", type=PATH, help="The study's run directory.")
def cost(what: str, run: Path | None, **settings: Any) -> None:
    """What the judges of a study, or a judge of the answers in a file, will cost.

    Counts only what is not in the ledger. Answers that a study has yet to generate count at their maximum
    length, so the figure is an upper bound. Tokens are estimated; nothing is sent.
    """
    if Path(what).suffix.lower() in (".jsonl", ".ndjson"):
        _of_file(Path(what), settings)
    else:
        _of_study(what, run)


def _of_file(path: Path, settings: dict[str, Any]) -> None:
    from puretune.scoring import Judge, answers_in

    judge = described(**settings)
    if not isinstance(judge, Judge):
        say(f"{judge.name} runs on this machine: no cost.")
        return
    say(judge.notice(answers_in(path)))


def _of_study(what: str, run: Path | None) -> None:
    from puretune.study import judge_notices, named_study, plan_study

    study = named_study(what)
    notices = judge_notices(plan_study(study, dry=True), run or Path("runs") / study.name)
    if not notices:
        raise InputError(f"study {study.name!r} has no judge behind an endpoint: judging costs nothing.")
    for notice in notices:
        say(notice)
