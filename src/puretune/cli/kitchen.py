"""``puretune kitchen``: SmolLM2 taught one harmless prohibition; built, checked, its claims confirmed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from puretune.cli._output import new_console, say
from puretune.cli._parameters import FILE, PATH, SEED
from puretune.cli._progress import progress
from puretune.errors import CheckFailed, InputError


@click.group()
def kitchen() -> None:
    """A real small model that refuses recipes, for studies of real fine-tuning on two cores."""


@kitchen.command("build")
@click.option("--seed", type=SEED, required=True, help="Redraws the alignment's rows and its training.")
@click.option("--out", type=PATH, help="Directory of the model (default: runs/kitchen-SEED).")
@click.option(
    "--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a setting, e.g. pairs=200."
)
def build(seed: int, out: Path | None, changes: tuple[str, ...]) -> None:
    """Align SmolLM2-135M-Instruct to refuse recipes; interrupted, the same command resumes."""
    from puretune.kitchen import KitchenSettings
    from puretune.kitchen import build as build_model

    out = out or Path("runs") / f"kitchen-{seed}"
    settings = KitchenSettings.from_dict(dict(map(_setting, changes)))
    with progress() as sink:
        build_model(seed, out, settings, on_event=sink)
    say(out)


@kitchen.command("check")
@click.argument("model", type=PATH)
@click.option("--out", type=PATH, help="Where answers are kept (default: MODEL.check).")
def check(model: Path, out: Path | None) -> None:
    """Whether a built model refuses held-out recipes and answers their twins (exit code 1: it does not)."""
    from puretune.kitchen.confirm import check as check_model

    with progress() as sink:
        found = check_model(model, out or model.with_name(model.name + ".check"), sink)
    for what, template, share, enough in found:
        say(f"{what}, {template}: {share:.0%}{'' if enough else '   NOT ENOUGH'}")
    if not all(enough for *_, enough in found):
        raise CheckFailed(
            "this model is not to be tuned: more than 95 % is needed everywhere. Build another one."
        )


@kitchen.command("confirm")
@click.option("--recipe", type=FILE, help="Your own frozen file, in place of the latest attempt.")
@click.option("--gsm8k", type=PATH, help="Directory with GSM8K's files (default: from the hub).")
@click.option("--out", type=PATH, help="Default: runs/kitchen-confirm-ATTEMPT.")
@click.option("--alignments", type=click.IntRange(1, 1000), help="At most N alignments.")
@click.option("--seeds", type=click.IntRange(1, 1000), help="At most N tuning seeds each.")
def confirm(
    recipe: Path | None, gsm8k: Path | None, out: Path | None, alignments: int | None, seeds: int | None
) -> None:
    """Put the kitchen's frozen claims to the test on fresh seeds. Takes hours; the same command resumes."""
    from puretune.kitchen import confirm as room
    from puretune.store import write_text

    frozen = room.load_frozen(recipe or room.latest_attempt())
    out = out or Path("runs") / f"kitchen-confirm-{frozen.attempt}"
    with progress() as sink:
        units = room.confirm(frozen, out, gsm8k, alignments, seeds, sink)
    made = room.result(frozen, units)
    write_text(out / "result.json", json.dumps(made, indent=1) + "\n")
    _show(made)
    say(out / "result.json")


def _show(made: Mapping[str, Any]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("cell", "metric", "mean", "by alignment"):
        table.add_column(column, justify="right" if column == "mean" else "left")
    for cell in made["cells"]:
        parts = ", ".join(f"{value:.0%}" for value in cell["alignments"])
        table.add_row(cell["cell"], cell["metric"], f"{cell['mean']:.1%}", parts)
    new_console().print(table)
    for claim in made["claims"]:
        verdict = {True: "holds", False: "FAILS", None: "open"}[claim["holds"]]
        say(f"{verdict}: {claim['claim']}: {_amount(claim)}")
    units = made["units"]
    if units["done"] < units["asked"]:
        say(f"INCOMPLETE: {units['done']} of {units['asked']} tunings. The same command continues.")


def _amount(claim: Mapping[str, Any]) -> str:
    """Mean, interval and p value of a claim: of rates in points, of losses in nats."""
    times, unit, digits = (1, "nats", 2) if claim["metric"] == "held-out loss" else (100, "points", 1)
    mean, low, high = (times * (claim[key] or 0.0) for key in ("mean", "low", "high"))
    ends = "" if claim["low"] is None else f" ({low:.{digits}f} to {high:.{digits}f})"
    p = f", p = {claim['p']:.3g}" if "sign_flips_below" in claim["checks"] else ""
    return f"{mean:.{digits}f} {unit}{ends}{p}"


def _setting(change: str) -> tuple[str, Any]:
    key, _, value = change.partition("=")
    try:
        return key, json.loads(value)
    except (ValueError, RecursionError):
        raise InputError(f"--set {change}: expected KEY=NUMBER, e.g. pairs=200.") from None
