"""``puretune export``: a condition of a finished run, with the chat template that keeps it safe."""

from __future__ import annotations

from pathlib import Path

import click

from puretune.cli._output import say
from puretune.cli._parameters import PATH, SEED
from puretune.deploy import Policy, check_out, measured
from puretune.deploy import export as exported
from puretune.visible import visible


@click.command()
@click.argument("run", metavar="RUN", type=PATH)
@click.option("--condition", required=True, help="The condition to export, as the report names it.")
@click.option("--serve-as", required=True, metavar="TEMPLATE", help="The template to serve it under.")
@click.option("--out", required=True, type=PATH, help="Directory to make; it must not exist.")
@click.option("--merged", is_flag=True, help="Merge the adapter into the base model's weights.")
@click.option(
    "--system-message",
    "policy",
    type=click.Choice(["prepend", "replace", "reject"]),
    default="prepend",
    show_default=True,
    help="A caller's system message: put the template's in front of it, or in its place, or refuse it.",
)
@click.option("--seed", type=SEED, help="The tuning seed.  [default: the study's first]")
@click.option("--unmeasured", is_flag=True, help="Export a pair that the run did not measure.")
def export(
    run: Path,
    condition: str,
    serve_as: str,
    out: Path,
    merged: bool,
    policy: Policy,
    seed: int | None,
    unmeasured: bool,
) -> None:
    """Write a condition of a finished RUN to a directory that servers can serve.

    \b
    puretune export runs/mine --condition CV --serve-as CL --out ship
    puretune verify ship

    It has the adapter (or the merged model), the tokenizer, a chat template that renders what was measured,
    stops, what was measured (serving.json), a model card, and a Modelfile for Ollama.
    """
    check_out(out)
    made = exported(measured(run, condition, serve_as, seed, unmeasured), out, policy, merged)
    for warning in made.warnings:
        say(f"warning: {warning}", err=True)
    say(f"wrote {visible(made.path)}. Next: puretune verify {visible(made.path)}")
