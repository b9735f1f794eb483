"""``puretune studies``: the studies that have a name."""

from __future__ import annotations

import click
from rich.table import Table

from puretune.cli._output import new_console, say
from puretune.files import LARGEST_YAML, read_text
from puretune.study import find_study, study_head, study_names


@click.group()
def studies() -> None:
    """List the studies that `puretune run NAME` knows; print one."""


@studies.command("list")
def list_() -> None:
    """Every study with what it asks and what it costs."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("study", no_wrap=True)
    table.add_column("asks; costs", overflow="fold")
    for name in study_names():
        head = study_head(find_study(name))
        table.add_row(name, f"{head.asks}\n{head.cost or 'not said'}")
    new_console().print(table)


@studies.command("show")
@click.argument("name")
def show(name: str) -> None:
    """Print a study's file, to change it: `puretune studies show NAME > my-study.yaml`.

    Paths in it are relative to the new file then.
    """
    say(read_text(find_study(name), "study file", LARGEST_YAML), nl=False)
