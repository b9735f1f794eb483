"""``puretune lab``: build the tiny aligned model from nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from puretune.cli._output import new_console, say
from puretune.cli._parameters import FILE, PATH, SEED
from puretune.cli._progress import progress
from puretune.errors import InputError


@click.group()
def lab() -> None:
    """The tiny world in which the paper's effect can be studied."""


@lab.command("build")
@click.option(
    "--seed", type=SEED, required=True, help="Redraws language, held-out split, pretraining and alignment."
)
@click.option("--out", type=PATH, help="Directory of the model (default: runs/lab-SEED).")
@click.option(
    "--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a setting, e.g. over_refusal=0."
)
@click.option("--threads", type=click.IntRange(1, 1024), default=1, show_default=True, help="CPU threads.")
def build(seed: int, out: Path | None, changes: tuple[str, ...], threads: int) -> None:
    """Pretrain and align a model of about a million parameters; written as a Hugging Face directory."""
    from puretune.lab import LabSettings
    from puretune.lab import build as build_model

    out = out or Path("runs") / f"lab-{seed}"
    settings = LabSettings.from_dict(dict(_setting(change) for change in changes))
    with progress() as sink:
        build_model(seed, out, settings, threads=threads, on_event=sink)
    say(out)


@lab.command("confirm")
@click.option("--attempt", type=click.IntRange(0, 10_000), help="The frozen attempt.  [default: the latest]")
@click.option("--recipe", type=FILE, help="Your own frozen file, in place of an attempt.")
@click.option("--out", type=PATH, help="Default: runs/lab-confirm-ATTEMPT.")
@click.option("--arms", help="Only these arms, comma-separated.  [default: all, the main ones first]")
@click.option("--seeds", type=click.IntRange(1, 10_000), help="At most N model seeds per arm.")
@click.option(
    "--processes",
    type=click.IntRange(1, 1024),
    default=1,
    show_default=True,
    help="Worker processes, one thread each.",
)
@click.option("--from", "earlier", type=FILE, help="An incomplete RESULT.json to resume from.")
def confirm(
    attempt: int | None,
    recipe: Path | None,
    out: Path | None,
    arms: str | None,
    seeds: int | None,
    processes: int,
    earlier: Path | None,
) -> None:
    """Put the lab's frozen claims to the test on fresh seeds. Interrupted, the same command resumes.

    Takes hours: ten models are built from scratch in each of two arms, and the other arms follow.
    """
    from puretune.lab import confirm as room
    from puretune.store import write_text

    frozen = room.load_frozen(_frozen_file(attempt, recipe))
    out = out or Path("runs") / f"lab-confirm-{frozen.attempt}"
    chosen = room.known_arms(frozen, arms.split(",") if arms else [])
    with progress() as sink:
        taken = room.units_of(earlier) if earlier else []
        found = room.confirm(frozen, out, chosen, seeds, processes, sink, taken)
    made = room.result(frozen, found)
    write_text(out / "result.json", room.result_text(made))
    _show(made)
    say(out / "result.json")


@lab.command("claims")
@click.argument("file", type=FILE, metavar="RESULT.json")
@click.option(
    "--attempt",
    type=click.IntRange(0, 10_000),
    help="The frozen attempt that the result belongs to.  [default: the latest]",
)
@click.option("--recipe", type=FILE, help="The frozen file, if it is not a built-in attempt.")
def claims(file: Path, attempt: int | None, recipe: Path | None) -> None:
    """Analyse a result again from its counts and print the verdict on every claim."""
    from puretune.lab import confirm as room

    _show(room.load_result(file, room.load_frozen(_frozen_file(attempt, recipe))))


def _frozen_file(attempt: int | None, recipe: Path | None) -> Path:
    from puretune.lab.confirm import attempts

    if recipe is not None:
        if attempt is not None:
            raise InputError("give --attempt or --recipe, not both.")
        return recipe
    known = attempts()
    number = max(known) if attempt is None else attempt
    if number not in known:
        raise InputError(f"there is no attempt {number}. There are: {', '.join(map(str, known))}.")
    return known[number]


def _show(made: Mapping[str, Any]) -> None:
    from rich.table import Table

    console = new_console()
    for claim in dict.fromkeys(found["claim"] for found in made["claims"]):
        console.print(f"\n{claim}", style="bold", highlight=False)
        table = Table(box=None, pad_edge=False, show_header=False)
        for found in made["claims"]:
            if found["claim"] == claim:
                table.add_row(*_told(found))
        console.print(table)
    for arm, seeds in made["model_seeds"].items():
        say(f"{arm}: {seeds['done']} of {seeds['asked']} model seeds")
    if not made["complete"]:
        say("INCOMPLETE: the verdicts cover only the finished model seeds.")


def _told(found: Mapping[str, Any]) -> tuple[str, ...]:
    """Verdict, arm, measure, cell, mean and 95 % interval over model seeds, in percent."""
    ends = "" if found["low"] is None else f"({100 * found['low']:.1f} to {100 * found['high']:.1f})"
    verdict = "holds" if found["holds"] else "FAILS"
    return verdict, found["arm"], found["measure"], found["cell"], f"{100 * found['mean']:.1f} %", ends


def _setting(change: str) -> tuple[str, float | int]:
    key, equals, value = change.partition("=")
    try:
        number = json.loads(value)
    except (ValueError, RecursionError):
        number = None
    if not equals or not isinstance(number, int | float) or isinstance(number, bool):
        raise InputError(f"--set {change}: expected KEY=NUMBER, e.g. over_refusal=0.")
    return key, number
