"""``puretune lab``: build the tiny aligned model from nothing."""

from __future__ import annotations

import json
from pathlib import Path

import click

from puretune.cli._progress import progress
from puretune.errors import InputError


@click.group()
def lab() -> None:
    """The tiny world in which the paper's effect can be studied."""


@lab.command("build")
@click.option(
    "--seed", type=int, required=True, help="Redraws language, held-out split, pretraining and alignment."
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Directory of the model (default: runs/lab-SEED)."
)
@click.option(
    "--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a setting, e.g. over_refusal=0."
)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="CPU threads.")
def build(seed: int, out: Path | None, changes: tuple[str, ...], threads: int) -> None:
    """Pretrain and align a model of about a million parameters; a Hugging Face directory comes out."""
    from puretune.lab import LabSettings
    from puretune.lab import build as build_model

    out = out or Path("runs") / f"lab-{seed}"
    if out.exists():
        raise InputError(f"{out} exists. Name another directory with --out, or remove it.")
    settings = LabSettings.from_dict(dict(_setting(change) for change in changes))
    with progress() as sink:
        build_model(seed, out, settings, threads=threads, on_event=sink)
    click.echo(out)


def _setting(change: str) -> tuple[str, float | int]:
    key, equals, value = change.partition("=")
    try:
        number = json.loads(value)
    except json.JSONDecodeError:
        number = None
    if not equals or not isinstance(number, int | float) or isinstance(number, bool):
        raise InputError(f"--set {change}: expected KEY=NUMBER, e.g. over_refusal=0.")
    return key, number
