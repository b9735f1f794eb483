"""``puretune data clean``: a user's file with what can be repaired repaired, and every change told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from puretune.cli._output import new_console, say
from puretune.cli._parameters import FILE, column_mapping, free_file
from puretune.data import FORMATS, Change, Cleaned, Rules, clean
from puretune.store import json_lines, write_text
from puretune.visible import visible

_DONE = {
    "parts": "lists of text parts became text",
    "tools": "tool calls and their results removed",
    "empty": "turns without text removed",
    "system": "system messages merged or removed",
    "greeting": "greetings before the first question removed",
    "consecutive": "turns of one role in a row joined",
    "unanswered": "questions after the last answer removed",
    "characters": "NUL and half characters removed",
    "nested": "lists in lists became conversations",
    "format": "rows of another format became messages",
    "ids": "ids that repeat an earlier one removed",
}
_SHOWN = 20


@click.command("clean")
@click.argument("file", type=FILE)
@click.option("--out", type=FILE, required=True, help="Where the clean rows go (.jsonl).")
@click.option(
    "--tools",
    type=click.Choice(["drop", "keep", "leave-out"]),
    default="drop",
    show_default=True,
    help="Remove tool turns, keep them (where the model's chat template renders them), or leave out "
    "conversations that have any.",
)
@click.option(
    "--system",
    type=click.Choice(["keep", "drop", "move"]),
    default="keep",
    show_default=True,
    help="move: remove the message that all rows share and print the template that has it.",
)
@click.option(
    "--format", "format_", type=click.Choice(FORMATS), help="The rows' format (default: by the columns)."
)
@click.option("--columns", multiple=True, metavar="A=B", help="The file's name B for column A.")
@click.option("--header/--no-header", default=None, help="Whether a CSV file's first line names its columns.")
@click.option("--delimiter", metavar="CHAR", help="The separator of a CSV file (a character, or: tab).")
@click.option("--force", is_flag=True, help="Replace files that exist.")
def clean_command(
    file: Path,
    out: Path,
    tools: Any,
    system: Any,
    format_: str | None,
    columns: tuple[str, ...],
    header: bool | None,
    delimiter: str | None,
    force: bool,
) -> None:
    """Repair the conversations of FILE by fixed rules, and leave out what cannot be repaired.

    Tool turns are removed, system messages merged, greetings before the first question and questions after
    the last answer removed, turns of one role in a row joined; rows of several formats become one format;
    duplicates, and rows without an answer where others have one, are left out. OUT.changes.jsonl lists
    every row that was changed or left out, with the reason. FILE is not changed.
    """
    log = out.with_name(out.name + ".changes.jsonl")
    for path in (out, log):
        free_file(path, file, force)
    done = clean(file, Rules(tools, system), format_, column_mapping(columns), header, delimiter)
    write_text(out, json_lines(done.rows))
    write_text(log, json_lines(_change(one) for one in done.changes))
    _print(done)
    if system == "move" and done.systems:
        _print_template(done)
    say(f"{len(done.rows):,} rows in {visible(out)}; every change is in {visible(log)}", err=True)


def _change(change: Change) -> dict[str, Any]:
    done = {"left_out": change.left_out} if change.left_out else {"rules": change.rules}
    return {"row": change.where, **done}


def _print(done: Cleaned) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("rows", justify="right")
    table.add_column("what was done", overflow="fold")
    for rule, text in _DONE.items():
        if done.counts[rule]:
            table.add_row(f"{done.counts[rule]:,}", text)
    if done.left_out:
        table.add_row(f"{len(done.left_out):,}", "left out:")
    console = new_console()
    console.print(table if table.row_count else "Nothing to repair.")
    for change in done.left_out[:_SHOWN]:
        say(f"  {visible(change.where)}: {visible(change.left_out)}")
    if len(done.left_out) > _SHOWN:
        say(f"  ... and {len(done.left_out) - _SHOWN:,} more")


def _print_template(done: Cleaned) -> None:
    """The YAML of a template with the system message that was taken out of the rows."""
    import yaml

    ((text, rows),) = done.systems.items()
    say(f"\n{rows:,} of the rows had this system message. Test under it, in the study:\n")
    template = {"templates": {"theirs": {"mode": "chat", "system": text}}}
    say(yaml.safe_dump(template, sort_keys=False, allow_unicode=True, width=78).rstrip())
