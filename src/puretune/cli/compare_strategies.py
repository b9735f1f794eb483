"""``puretune compare-strategies``: the safest way to tune and serve at the same helpfulness, on own data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from puretune.cli._consent import Consents
from puretune.cli._output import new_console, say
from puretune.cli._parameters import FILE, PATH, FiniteRange
from puretune.cli._progress import progress
from puretune.cli.init import draft_options_with
from puretune.errors import CheckFailed, InputError
from puretune.visible import one_line

if TYPE_CHECKING:
    from rich.console import Console

    from puretune.study import Matrix, Ranking, Study


_DESCRIBED = ("model", "data", "columns", "format_", "safety_prompt", "harmful")
"""Options that describe a model and data."""


@click.command("compare-strategies")
@click.argument("study", metavar="[STUDY.yaml|NAME]", required=False)
@draft_options_with(required=False)
@click.option(
    "--harmful", type=FILE, help="Your harmful requests (a column `prompt`), to test refusals with."
)
@click.option("--strategies", metavar="A,B", help="Only these.  [default: all that need no more options]")
@click.option("--seeds", type=click.IntRange(1, 1000), help="Training runs of each.  [default: the study's]")
@click.option("--helpfulness", type=FiniteRange(0, 1), help="Rank at this helpfulness, such as 0.8.")
@click.option("--smoke", is_flag=True, help="One seed, 40 prompts a suite: whether all works, no more.")
@click.option("--out", type=PATH, help="Run directory.  [default: runs/NAME]")
@click.option("--dry-run", is_flag=True, help="Show what would be done; do nothing.")
@click.option("--yes", is_flag=True, help="Agree to every notice shown of data that goes elsewhere.")
@click.option("--executor", default="auto", show_default=True, help="As for `puretune run`.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def compare_strategies(
    study: str | None,
    out: Path | None,
    dry_run: bool,
    yes: bool,
    executor: str,
    quiet: bool,
    **asked: Any,
) -> None:
    """Tune in every way, serve in every way, and rank them at the same helpfulness.

    \b
    puretune compare-strategies --model smollm2 --data my.jsonl --harmful mine.jsonl
    puretune compare-strategies zoo --smoke

    Interrupted, the same command resumes. Strategies that tune alike share their adapters.
    """
    from puretune.cli.run import show_plan

    built = _study(study, asked)
    directory = out if out is not None else Path("runs") / built.name
    if directory.is_file():
        raise InputError(f"--out {one_line(directory)} is a file. Name a directory.")
    if dry_run:
        show_plan(built, directory)
        return
    from puretune.study import run_study

    consents = Consents(yes)
    with progress(quiet) as sink, consents.over(sink):
        matrix = run_study(built, directory, sink, consents.ask, executor=executor)
    _show(matrix, new_console())
    for name in ("report.html", "report.md", "results.json"):
        say(directory / name)


def _study(named: str | None, asked: dict[str, Any]) -> Study:
    """The study that was named, or one of the model and data, with what the options change."""
    from puretune.start import at_helpfulness, only, smaller
    from puretune.study import named_study

    chosen = [one.strip() for one in (asked["strategies"] or "").split(",") if one.strip()]
    if named is None:
        built = _drafted(asked, chosen)
    else:
        given = next((key for key in ("model", "data", "harmful", "safety_prompt") if asked[key]), None)
        if given:
            raise InputError(
                f"--{given.replace('_', '-')} and a study: the study says that itself. Give one."
            )
        built = named_study(named)
        built = only(built, chosen) if chosen else built
    _check(built)
    if asked["seeds"]:
        built = built.with_seeds(range(asked["seeds"]))
    if asked["helpfulness"] is not None:
        built = at_helpfulness(built, asked["helpfulness"])
    return smaller(built) if asked["smoke"] else built


def _check(study: Study) -> None:
    """InputError for fewer than two strategies that tune."""
    named = [one if isinstance(one, str) else one.name for one in study.strategies]
    tuning = [name for name in named if name != "untuned"]
    if len(tuning) < 2:
        raise InputError(
            f"study {study.name!r} has {len(tuning)} strategies that tune. Name two or more, as in "
            "`strategies: [same-template, ptst]`."
        )


def _drafted(asked: dict[str, Any], chosen: list[str]) -> Study:
    """A study of the model and data; says what it leaves out."""
    from puretune.cli.init import drafted
    from puretune.start import strategies_study, study_name

    if asked["model"] is None or asked["data"] is None:
        raise InputError("give --model and --data, or a study file or name, such as `zoo`.")
    described = {
        key: asked[key] for key in ("model", "data", "columns", "format_", "safety_prompt", "harmful")
    }
    found = strategies_study(drafted(**described), f"{study_name(asked['data'])}-strategies", chosen)
    for name, why in found.left_out.items():
        say(f"left out: {name}: {why}", err=True)
    return found.study


def _show(matrix: Matrix, console: Console) -> None:
    if matrix.ranking is None:
        raise CheckFailed(
            "the strategies cannot be ranked: a suite must measure helpfulness and another one harm, with "
            "every answer judged (no judge budget), and two strategies must have been tuned."
        )
    print_ranking(matrix.ranking, console)
    for effect in (one for one in matrix.controls if one.use == "neutral"):
        console.print(effect.sentence(), style="dim")


def print_ranking(ranking: Ranking, console: Console) -> None:
    """The sentence, and the two tables."""
    from rich.table import Table

    from puretune.report._ranking import HEAD, caption, reference_head, reference_rows, rows

    console.print(ranking.sentence(), style="bold")
    for head, lines in ((HEAD, rows(ranking)), (reference_head(ranking), reference_rows(ranking))):
        table = Table(box=None, pad_edge=False, header_style="bold")
        for number, name in enumerate(head):
            left = number == 0
            justify: Literal["left", "right"] = "left" if left else "right"
            table.add_column(name, justify=justify, no_wrap=left, overflow="fold")
        for line in lines:
            table.add_row(*line)
        console.print()
        console.print(table)
    console.print(f"\n{caption(ranking)}", style="dim")
