"""``puretune templates``: the known templates, and what a model sees under one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from puretune.cli import _tokens as draw
from puretune.cli._output import new_console, say
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

if TYPE_CHECKING:
    from puretune.mechanism import Rates, TemplateDistance

_FILE = click.option("--file", "file", type=FILE, help="YAML file with your own templates.")


@click.group()
def templates() -> None:
    """List prompt templates; show one with all its fields; how far those of a study are apart."""


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


@templates.command("distance")
@click.argument("study", metavar="STUDY.yaml|NAME|RUN")
@click.option(
    "--prompts", type=click.IntRange(1, 100_000), default=24, show_default=True, help="The first N prompts."
)
def distance(study: str, prompts: int) -> None:
    """How far a study's test templates are from those it tunes under, for its untuned model.

    edits: tokens to insert, delete or replace. KL: of the answer's first token, train || test, in nats.
    hidden: 1 - cosine of the last layer's states. Means over prompts. Of a finished RUN, what was measured
    there is shown too.
    """
    from puretune.mechanism import measured_beside, separations, template_distances
    from puretune.study import load_results, named_study, plan_study

    run = Path(study) if (Path(study) / "results.json").is_file() else None
    plan = plan_study(named_study(run / "study.yaml" if run else study))
    found = template_distances(plan, prompts)
    beside = measured_beside(load_results(run)) if run else {}
    console = new_console()
    console.print(_distances(found, beside))
    for one in separations(found, beside):
        say(
            f"{one.rate} of {alias_of(one.train_template)}, distance in {one.distance}: rank correlation "
            f"{one.without:+.2f} without and {one.among_safe:+.2f} with a safety prompt; a safety prompt "
            f"at the same rank {100 * one.safety_prompt:+.0f} points"
        )


def _distances(found: Sequence[TemplateDistance], beside: Rates) -> Table:
    titles = list(dict.fromkeys(title for values in beside.values() for title in values))
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("tuned -> tested", overflow="fold")
    for column in ("safety", "edits", "KL", "hidden", *titles):
        table.add_column(column, justify="right")
    for one in found:
        name = f"{alias_of(one.train_template)} -> {alias_of(one.test_template)}"
        values = beside.get((one.train_template, one.test_template), {})
        rates = (f"{100 * values[title]:.0f} %" if title in values else "-" for title in titles)
        numbers = (f"{one.edits:.1f}", f"{one.divergence:.3f}", f"{one.hidden:.3f}")
        table.add_row(name, "yes" if one.safety else "no", *numbers, *rates)
    return table


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
