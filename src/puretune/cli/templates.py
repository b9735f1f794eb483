"""``puretune templates``: which templates there are, and what a model sees of one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from puretune.templates import (
    ALIASES,
    BUILTIN_TEMPLATES,
    Message,
    PromptTemplate,
    alias_of,
    load_templates,
    resolve_template,
)

if TYPE_CHECKING:
    from puretune.templates import Renderer, Rendering

_FILE = click.option(
    "--file", "file", type=click.Path(path_type=Path), help="YAML file with templates of your own."
)


@click.group()
def templates() -> None:
    """List prompt templates; show what a model sees."""


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
    Console().print(table)


@templates.command("show")
@click.argument("name")
@_FILE
@click.option(
    "--model", default="lab", show_default=True, help="Whose tokenizer and turn markup: lab, path, hub id."
)
@click.option(
    "--markup", default="auto", show_default=True, help="auto, or an explicit turn markup (llama-2, ...)."
)
@click.option("--query", default="How many are there in all?", help="The user's text.")
@click.option("--response", default="Add both. #### 7", help="The trained response.")
def show(name: str, file: Path | None, model: str, markup: str, query: str, response: str) -> None:
    """A template's fields, its text, and its tokens; the trained tokens stand out."""
    from puretune.models import ModelSpec, renderer_for

    template = resolve_template(name, _own(file))
    console = Console()
    _print_fields(console, template)
    renderer = renderer_for(ModelSpec(model, markup=markup))
    asked = (Message("user", query),)
    example = renderer.example(template, (*asked, Message("assistant", response)))
    prompt = renderer.prompt(template, asked)
    console.print(
        f"\n[bold]training example[/] on {model}: {len(example.ids)} tokens, {example.trained} trained"
    )
    console.print(_tokens(renderer, example))
    console.print(f"\n[bold]prompt[/]: the first {len(prompt.ids)} of these tokens")
    console.print(Text("trained tokens are underlined; each is set apart by ·", style="dim"))


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


def _tokens(renderer: Renderer, rendering: Rendering) -> Text:
    text = Text()
    for token_id, trained in zip(rendering.ids, rendering.loss_mask, strict=True):
        spelled = renderer.tokenizer.decode([token_id]).replace("\n", "⏎\n")
        text.append(spelled or "∅", style="underline green" if trained else "")
        text.append("·", style="dim")
    return text
