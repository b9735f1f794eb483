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
    "--seeds", type=click.IntRange(1, 1000), help="Number of tuning seeds.  [default: 3; 1 with --full]"
)
@click.option("--full", is_flag=True, help="The paper's matrix: five templates by five.")
@click.option(
    "--model",
    type=PATH,
    help="Another lab model, from `puretune lab build`.  [default: the shipped one]",
)
@click.option("--out", type=PATH, help="Run directory.  [default: runs/demo, runs/demo-full]")
def demo(seed: int, seeds: int | None, full: bool, model: Path | None, out: Path | None) -> None:
    """Tune the lab model without and with a safety prompt, test it under both, and show what is lost."""
    from puretune.cli.run import show_study
    from puretune.lab.offers import demo_study
    from puretune.study import named_study

    started = time.monotonic()
    count = seeds or (1 if full else 3)
    study = named_study(demo_study(full)).with_seeds(range(seed, seed + count))
    directory = out or Path("runs") / ("demo-full" if full else "demo")
    show_study(study if model is None else study.with_model(model.absolute()), directory)
    say(f"Done in {time.monotonic() - started:.0f} s.", err=True)
