"""``puretune data``: which data sets there are, what is in one, and whether it is fit for use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from puretune.cli._output import new_console, say
from puretune.cli._parameters import PATH, SEED, column_mapping
from puretune.cli.clean import clean_command
from puretune.data import (
    FORMATS,
    NAMED_SOURCES,
    SOURCES,
    Example,
    NamedSource,
    SourceSpec,
    check_source,
    draw_source,
    notes_on,
)
from puretune.errors import CheckFailed, InputError
from puretune.names import ranges
from puretune.visible import one_line, visible

_REASONS_SHOWN, _FLAGS_SHOWN = 20, 10
_MARKUP = "keep: accept texts that contain turn markup ([INST], <|im_start|>)."
_STYLES = {"ok": "green", "note": "yellow", "failed": "bold red"}


def _source_options(command: Any) -> Any:
    """SOURCE and the options that say where and how to read it."""
    for option in (
        click.option(
            "--hold-out", type=float, default=0.0, help="Share of prompts held out as --split test."
        ),
        click.option(
            "--longest",
            type=click.IntRange(1),
            help="Leave out conversations longer than this many characters.",
        ),
        click.option(
            "--columns",
            multiple=True,
            metavar="A=B",
            help="The file's name B for column A, such as question=frage.",
        ),
        click.option(
            "--ignore", multiple=True, metavar="NAME", help="A column that is left unused on purpose."
        ),
        click.option("--markup", type=click.Choice(["refuse", "keep"]), default="refuse", help=_MARKUP),
        click.option(
            "--header/--no-header",
            default=None,
            help="Whether the first line of a CSV file names its columns.",
        ),
        click.option(
            "--delimiter", metavar="CHAR", help="The separator of a CSV file (a character, or: tab)."
        ),
        click.option("--format", "format_", help=f"One of {', '.join(FORMATS)} (default: by the columns)."),
        click.option("--revision", help="The revision of a hub data set."),
        click.option("--config", help="The configuration of a hub data set."),
        click.option("--split", help="train, test, ..."),
        click.option("--path", type=PATH, help="Local path of a named source, in place of the hub."),
        click.argument("source"),
    ):
        command = option(command)
    return command


@click.group()
def data() -> None:
    """List sources; show, check and clean examples."""


data.add_command(clean_command)


@data.command("list")
def list_() -> None:
    """The sources that have a name: those of the paper and those of installed packages."""
    console = new_console()
    for named in NAMED_SOURCES.values():
        where = named.hub or (named.home if named.packaged else f"{named.home} (give its path)")
        _print_source(console, named.name, (_row_counts(named), where, named.licence), named.what)
    for name, package in SOURCES.offered().items():
        _print_source(console, name, (f"offered by {package}",))


@data.command("show")
@_source_options
@click.option("--limit", type=click.IntRange(1), default=3, show_default=True, help="Examples to show.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Seed of the draw.")
@click.option("--model", type=PATH, help="A model's directory, for its special tokens and sources.")
def show(limit: int, seed: int, model: Path | None, **described: Any) -> None:
    """A few examples of SOURCE (a name, a file or a hub id), as they are read."""
    spec = _spec(limit=limit, seed=seed, **described)
    drawn = draw_source(spec, _directory(model))
    console = new_console()
    for example in drawn.examples:
        _print_example(console, example)
    left_out = [f"{drawn.duplicates:,} duplicates"] if drawn.duplicates else []
    left_out += [f"{drawn.held_out:,} on the other side of the hold-out"] if drawn.held_out else []
    left_out += [f"{drawn.too_long:,} too long"] if drawn.too_long else []
    note = f"; left out: {', '.join(left_out)}" if left_out else ""
    say(f"{len(drawn.examples)} of {drawn.read:,} examples{note}", err=True)
    for line in notes_on(drawn, spec):
        say(line, err=True)


@data.command("check")
@_source_options
@click.option("--model", type=PATH, help="A model's directory, for its special tokens and sources.")
@click.option(
    "--flag-harmful",
    "scorer",
    metavar="SCORER",
    help="Count the answers that this scorer calls harmful or refusals: refusal, or a judge's YAML file.",
)
def check(model: Path | None, scorer: str | None, **described: Any) -> None:
    """Check SOURCE: rows, columns that are not read, markup, duplicates, roles, lengths.

    Exit codes: 0 every row can be used, 1 a check failed, 2 SOURCE cannot be read. Notes are not failures.
    """
    report = check_source(_spec(**described), _directory(model))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("check", "result", "found"):
        table.add_column(column, overflow="fold")
    for item in report.checks:
        table.add_row(item.name, Text(item.state, style=_STYLES[item.state]), Text(visible(item.found)))
    console = new_console()
    console.print(table)
    for reason, lines in report.reasons[:_REASONS_SHOWN]:
        console.print(Text(f"  {visible(reason)}"))
        if len(lines) > 1:
            console.print(Text(f"    the same in {len(lines):,} rows: {ranges(lines)}", style="dim"))
    if (more := len(report.reasons) - _REASONS_SHOWN) > 0:
        console.print(f"  ... and {more:,} more reasons")
    if scorer is not None:
        _print_flags(console, report.examples, scorer)
    if not report.passed:
        names = ", ".join(item.name for item in report.checks if item.state == "failed")
        raise CheckFailed(
            f"{visible(report.source)}: failed: {names}. Correct the rows, or let "
            "`puretune data clean` do it; then check again."
        )
    for line in _rendering_notes(_spec(**described), model):
        console.print(Text(visible(line)))


def _print_flags(console: Console, examples: Sequence[Example], name: str) -> None:
    """What a named scorer flags, metric by metric, with the first rows."""
    from puretune.scoring import flagged, scorer_from

    scorer = scorer_from(name, "--flag-harmful")
    found = flagged(examples, scorer)
    if not found:
        console.print(Text(f"flagged by {one_line(scorer.name)}: no answer of {len(examples):,} rows"))
    for metric in dict.fromkeys(flag.metric for flag in found):
        flags = [flag for flag in found if flag.metric == metric]
        console.print(Text(f"flagged by {one_line(scorer.name)}, {metric}: {len(flags):,} answers"))
        for flag in flags[:_FLAGS_SHOWN]:
            console.print(Text(f"  {one_line(flag.id, 60)}: {one_line(flag.text, 100)}"))
        if len(flags) > _FLAGS_SHOWN:
            console.print(f"  ... and {len(flags) - _FLAGS_SHOWN:,} more")


def _rendering_notes(spec: SourceSpec, model: Path | None) -> Iterator[str]:
    """What the model's chat template does to the rows, in words; or that nothing says it."""
    from puretune.models import ModelSpec, renderer_for
    from puretune.templates import row_notes

    if model is None:
        return
    if not (model / "tokenizer_config.json").is_file():
        yield f"{model}: no tokenizer_config.json, so what a chat template does to the rows is not checked."
        return
    examples = draw_source(spec, model).examples
    yield from row_notes(renderer_for(ModelSpec(str(model))), [example.messages for example in examples])


def _spec(*, format_: str | None, columns: tuple[str, ...], **more: Any) -> SourceSpec:
    return SourceSpec(format=format_, columns=column_mapping(columns), **more)


def _directory(model: Path | None) -> Path | None:
    """A model's directory; InputError if it is none."""
    if model is not None and not model.is_dir():
        raise InputError(f"--model {visible(model)}: no such directory.")
    return model


def _row_counts(named: NamedSource) -> str:
    return ", ".join(
        f"{split} {'many' if n is None else format(n, ',')}" for split, n in named.splits.items()
    )


def _print_source(console: Console, name: str, facts: tuple[str, ...], what: str = "") -> None:
    """A name and its facts on one line, the description indented below: readable at 80 columns."""
    line = Text(f"{one_line(name):<20}", style="bold").append(one_line(" · ".join(facts)), style="not bold")
    console.print(line, soft_wrap=True)
    if what:
        console.print(Padding(Text(visible(what), style="dim"), (0, 0, 0, 4)))


def _print_example(console: Console, example: Example) -> None:
    cluster = f"  ({one_line(example.cluster)})" if example.cluster else ""
    console.print(Text(f"{one_line(example.id)}{cluster}", style="bold"))
    for message in example.messages:
        shown = message.role == "assistant" and not message.train
        role = f"{message.role} (not trained)" if shown else message.role
        console.print(Text(f"{role}: ", style="cyan") + Text(visible(message.content)))
    if example.metadata:
        console.print(Text(f"metadata: {visible(dict(example.metadata))}", style="dim"))
    console.print()
