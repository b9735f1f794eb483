"""``puretune strategies``: published ways to tune and serve, and what each adds to a study."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Any

import click
from rich.table import Table

from puretune.cli._output import new_console, say
from puretune.errors import InputError
from puretune.study import STRATEGIES, Expansion, Study, TrainSection, named_study
from puretune.study.spec.schema import field_texts
from puretune.study.spec.sections import UNTUNED, DataSection
from puretune.study.spec.to_yaml import plain_values
from puretune.visible import one_line

_EXAMPLE = {"name": "example", "model": "lab", "tuning": {"data": "lab-maths"}, "suites": ["lab-maths"]}


@click.group()
def strategies() -> None:
    """List strategies; show what one adds to a study."""


@strategies.command("list")
def list_() -> None:
    """All strategies: puretune's and those of installed packages."""
    table = _table("strategy", "in a line")
    for name in STRATEGIES.names():
        table.add_row(name, _summary(STRATEGIES.load(name)))
    new_console().print(table)


@strategies.command("show")
@click.argument("name")
@click.option("--study", default=None, help="A study file or name: expand the strategy for it.")
def show(name: str, study: str | None) -> None:
    """What a strategy is, its options, and the conditions, templates and tests that it adds."""
    kind: Any = STRATEGIES.load(name)
    say(_text(kind))
    options, meant = _table("option", "default", ""), field_texts(kind)
    for one in fields(kind):
        default = one_line(one.default if one.default != "" else '""', 200)
        options.add_row(one.name, default, meant.get(one.name, "").replace("``", "`"))
    base = named_study(study) if study is not None else Study(**_EXAMPLE)
    say()
    new_console().print(options)
    try:
        expansion = STRATEGIES.options(name).expand(base)
    except InputError as error:
        say(f"\nIt has no meaning without options: {error}")
        return
    say("\nIn a study, spelled out:\n")
    say(_yaml(expansion).rstrip())


def _yaml(expansion: Expansion) -> str:
    """The keys of a study that mean the same without the strategy."""
    import yaml

    pairs = dict.fromkeys([*expansion.tests, *expansion.leakage])
    said = {
        "templates": {
            name: one.model_dump(exclude_defaults=True) for name, one in expansion.templates.items()
        },
        "train": [_condition(one) for one in expansion.conditions],
        "pairs": [f"{condition} -> {test}" for condition, test in pairs],
    }
    content = plain_values({key: value for key, value in said.items() if value})
    return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=78))


def _condition(one: TrainSection) -> Any:
    given = {key: getattr(one, key) for key in TrainSection.model_fields if key in one.model_fields_set}
    if "data" in given:
        data = given["data"]
        given["data"] = [_part(part) for part in (data if isinstance(data, tuple) else (data,))]
    return UNTUNED if given == {"template": UNTUNED} else given


def _part(part: DataSection | str) -> Any:
    """A part of a mix, its defaults left out."""
    if isinstance(part, str):
        return part
    usual = DataSection(source=part.source)
    said = {one.name: getattr(part, one.name) for one in fields(part)}
    return {key: value for key, value in said.items() if key == "source" or value != getattr(usual, key)}


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(columns[0], no_wrap=True)
    for column in columns[1:]:
        table.add_column(column, overflow="fold")
    return table


def _summary(kind: Any) -> str:
    return _text(kind).split("\n\n")[0].replace("\n", " ")


def _text(kind: Any) -> str:
    return inspect.cleandoc(kind.__doc__ or "").replace("``", "`")
