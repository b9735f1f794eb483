"""``puretune templates``: the known templates, and what a model sees under one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from puretune.cli import _tokens as draw
from puretune.cli._output import new_console
from puretune.cli._parameters import FILE
from puretune.cli.show import QUERY, RESPONSE, print_sides, side_of
from puretune.templates import (
    ALIASES,
    BUILTIN_TEMPLATES,
    Message,
    PromptTemplate,
    alias_of,
    load_templates,
    resolve_template,
)

_FILE = click.option("--file", "file", type=FILE, help="YAML file with your own templates.")


@click.group()
def templates() -> None:
    """List prompt templates; show one with all its fields."""


@templates.command("list")
@_FILE
def list_(file: Path | None) -> None:
    """All templates: the paper's seven, "none", and those of --file."""
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    for column, width in (("name", 16), ("alias", 5), ("mode", 4), ("fingerprint", 16)):
        table.add_column(column, no_wrap=True, width=width)
    for column in ("system", "user"):
        table.add_column(column, no_wrap=True, ratio=1)
    for template in [*BUILTIN_TEMPLATES.values(), *_own(file).values()]:
        alias = alias_of(template.name) if template.name in ALIASES.values() else "-"
        user = template.user.replace("\n", "\\n")
        row = (template.name, alias, template.mode, template.fingerprint, template.system or "-", user)
        table.add_row(*(Text(cell) for cell in row))
    new_console().print(table)


@templates.command("show")
@click.argument("name")
@_FILE
@click.option(
    "--model",
    default="lab",
    show_default=True,
    help="The model for tokenizer and turn markup: lab, a path or a hub id.",
)
@click.option(
    "--markup", default="auto", show_default=True, help="auto, or an explicit turn markup (llama-2, ...)."
)
@click.option("--query", default=QUERY, help="The user's text.")
@click.option("--response", default=RESPONSE, help="The trained response.")
def show(name: str, file: Path | None, model: str, markup: str, query: str, response: str) -> int:
    """A template's fields, and its tokens on a model; `puretune show` compares two."""
    from puretune.models import ModelSpec

    template = resolve_template(name, _own(file))
    console = draw.token_console()
    _print_fields(console, template)
    messages = (Message("user", query), Message("assistant", response))
    side = side_of(template, ModelSpec(model, markup=markup), messages)
    console.print()
    print_sides(console, [side], messages)
    return 2 if side.problem else 0


def _own(file: Path | None) -> dict[str, PromptTemplate]:
    return load_templates(file) if file else {}


def _print_fields(console: Console, template: PromptTemplate) -> None:
    fields: dict[str, Any] = {
        "name": f"{template.name} ({alias_of(template.name)})",
        "mode": template.mode,
        "system": template.system or "-",
        "user": template.user,
        "demonstrations": [f"{m.role}: {m.content}" for m in template.demonstrations] or "-",
        "response prefix": template.response_prefix or "-",
        "own system": template.own_system,
        "arguments": dict(template.arguments) or "-",
        "fingerprint": template.fingerprint,
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    for key, value in fields.items():
        table.add_row(key, Text(str(value)))
    console.print(table)
