"""``puretune tune``: one tuning without a safety prompt, to be served with one."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from puretune.cli._output import say
from puretune.cli._parameters import PATH
from puretune.cli.init import draft_options, drafted
from puretune.cli.run import show_plan, show_study
from puretune.errors import InputError
from puretune.memory import available, readable
from puretune.start import memory_needed, tune_study
from puretune.study import plan_study
from puretune.visible import visible


@click.command()
@draft_options
@click.option("--out", required=True, type=PATH, help="The run directory. The same command resumes.")
@click.option("--dry-run", is_flag=True, help="Show tokens, memory and hours; do nothing.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def tune(data: Path, out: Path, dry_run: bool, quiet: bool, **described: Any) -> None:
    """Tune a model on your rows without a safety prompt, to be served with one (PTST).

    \b
    puretune tune --model smollm2 --data my.jsonl --out runs/mine

    Learning rate, epochs and batch follow from the model's size and the number of rows; OUT/tune.yaml has
    them with their reasons. Rows that are held out are answered under the safety prompt. What tuning costs in
    safety is not measured: `puretune init` writes the study that does.
    """
    if out.is_file():
        raise InputError(f"--out {visible(out)} is a file. Name a directory.")
    found = drafted(data=data, look_for_harm=False, **described)
    study = tune_study(found, data, out, write=not dry_run)
    if dry_run:
        show_plan(study, out)
        longest = max(len(one.ids) for one in found.lengths)
        need = memory_needed(plan_study(study, dry=True), longest)
        free = available()
        say(
            f"memory, roughly: {readable(need.total)} (weights {readable(need.weights)}, adapter "
            f"{readable(need.adapter)}, a step {readable(need.activations)})"
            + (f"; free here: {readable(free)}" if free is not None else "")
        )
        return
    show_study(study, out, quiet=quiet)
    run = shlex.quote(visible(out))
    say(f"\nNext, to serve it: puretune export {run} --condition plain --serve-as safe --out ship")
    say("Then, what tuning cost in safety: puretune audit ship --max-over-refusal 5%")
