"""``puretune demo``: the main job on the embedded default."""

from __future__ import annotations

import time
from pathlib import Path

import click

from puretune.cli._output import say
from puretune.cli._parameters import PATH, SEED


@click.command()
@click.option("--seed", type=SEED, default=0, show_default=True, help="The first tuning seed.")
@click.option(
    "--seeds", type=click.IntRange(1, 1000), default=1, show_default=True, help="Number of tuning seeds."
)
@click.option(
    "--model",
    type=PATH,
    help="Another lab model, from `puretune lab build`.  [default: the shipped one]",
)
@click.option("--out", type=PATH, default=Path("runs/demo"), show_default=True)
def demo(seed: int, seeds: int, model: Path | None, out: Path) -> None:
    """Tune the lab model under five templates, test each under five, and show the matrix."""
    from puretune.cli.run import show_study
    from puretune.study import named_study

    started = time.monotonic()
    study = named_study("lab-demo").with_seeds(range(seed, seed + seeds))
    show_study(study if model is None else study.with_model(model.absolute()), out)
    say(f"Done in {time.monotonic() - started:.0f} s.", err=True)
