"""``puretune init``: a commented study from a model and a data file."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import click

from puretune.cli._output import say
from puretune.cli._parameters import FILE, column_mapping, free_file
from puretune.data import FORMATS
from puretune.files import read_text
from puretune.start import Draft, draft, study_name
from puretune.store import write_text
from puretune.visible import visible


def draft_options(command: Any) -> Any:
    """The options that say which model, which rows and what they are to be served under."""
    return draft_options_with(required=True)(command)


def draft_options_with(required: bool) -> Callable[[Any], Any]:
    """The same, where a study may say it instead."""
    return lambda command: reduce(lambda one, option: option(one), _draft_options(required), command)


def _draft_options(required: bool) -> tuple[Any, ...]:
    return (
        click.option("--columns", multiple=True, metavar="A=B", help="The file's name B for column A."),
        click.option(
            "--format",
            "format_",
            type=click.Choice(FORMATS),
            help="The rows' format (default: by the columns).",
        ),
        click.option(
            "--safety-prompt",
            type=FILE,
            help="A text file with the system prompt to serve under.  [default: Llama 2's]",
        ),
        click.option(
            "--data", required=required, type=FILE, help="Your rows: .jsonl, .json, .csv, .parquet."
        ),
        click.option("--model", required=required, help="A directory, a hub id, or a name such as smollm2."),
    )


def drafted(
    model: str,
    data: Path,
    format_: str | None,
    columns: tuple[str, ...],
    safety_prompt: Path | None,
    **more: Any,
) -> Draft:
    """What is found of a model and a file; see :func:`puretune.start.draft`."""
    safety = None if safety_prompt is None else read_text(safety_prompt, "safety prompt").strip()
    return draft(model, data, format=format_, columns=column_mapping(columns), safety=safety, **more)


@click.command()
@draft_options
@click.option(
    "--harmful", type=FILE, help="Your harmful requests (a column `prompt`), to test refusals with."
)
@click.option("--out", type=FILE, default="study.yaml", show_default=True, help="The study to write.")
@click.option("--force", is_flag=True, help="Replace a study that exists.")
def init(data: Path, harmful: Path | None, out: Path, force: bool, **described: Any) -> None:
    """Look at a model and a data file, and write a study with every choice and its reason.

    \b
    puretune init --model smollm2 --data my.jsonl
    puretune run study.yaml --dry-run

    The study tunes without and with a safety prompt and tests both under both, on rows that it holds out, on
    harmful requests and on harmless ones.
    """
    free_file(out, data, force)
    found = drafted(data=data, harmful=harmful, **described)
    write_text(out, found.text(out, study_name(data)))
    for line in found.findings:
        say(line)
    for warning in found.warnings:
        say(f"warning: {warning}", err=True)
    say(f"wrote {visible(out)}. Next: puretune run {visible(out)} --dry-run")
