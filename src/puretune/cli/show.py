"""``puretune show``: what a model sees under a prompt template, token by token, and how two of them
differ."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from puretune.cli import _tokens as draw
from puretune.cli._output import say
from puretune.cli._parameters import FILE
from puretune.errors import InputError
from puretune.files import parse_yaml
from puretune.templates import (
    Message,
    PromptTemplate,
    alias_of,
    chat_template_ids,
    differences,
    load_templates,
    resolve_template,
    special_spellings,
)
from puretune.visible import one_line, visible

if TYPE_CHECKING:
    from puretune.models import ModelSpec
    from puretune.templates import Renderer, Rendering

QUERY, RESPONSE = "How many are there in all?", "Add both. #### 7"


@click.command()
@click.argument("model", default="lab")
@click.option("--template", "-t", default="CV", show_default=True, help="The template: a name or an alias.")
@click.option("--against", help="Another template, to see what differs.")
@click.option("--markup", default="auto", show_default=True, help="auto, or an explicit turn markup.")
@click.option("--against-markup", help="The other side's markup.  [default: that of --markup]")
@click.option(
    "--default-system",
    type=click.Choice(["forbid", "keep"]),
    default="forbid",
    show_default=True,
    help="What to do with text that the model's chat template adds on its own.",
)
@click.option(
    "--thoughts",
    type=click.Choice(["refuse", "strip", "train"]),
    default="refuse",
    show_default=True,
    help="What to do with the thoughts of reasoning models (<think>).",
)
@click.option(
    "--set", "pinned", multiple=True, metavar="NAME=VALUE", help="An argument of the chat template."
)
@click.option("--file", type=FILE, help="YAML file with your own templates.")
@click.option("--query", default=QUERY, show_default=True, help="The user's text.")
@click.option("--response", default=RESPONSE, show_default=True, help="The trained response.")
def show(
    model: str,
    template: str,
    against: str | None,
    markup: str,
    against_markup: str | None,
    default_system: str,
    thoughts: str,
    pinned: tuple[str, ...],
    file: Path | None,
    query: str,
    response: str,
) -> int:
    """Show what MODEL (a directory, a hub id, or lab) sees under a template, token by token.

    \b
    puretune show lab --template CV --against CL
    puretune show DIRECTORY --template CA --markup llama-2 --against-markup auto

    With --against or --against-markup, shows both renderings and what differs. A directory with only a
    tokenizer is enough. Exit code 2 if a study would refuse the rendering.
    """
    from puretune.models import ModelSpec

    own = load_templates(file) if file else {}
    messages = (Message("user", query), Message("assistant", response))
    held = {"default_system": default_system, "thoughts": thoughts}
    spec = ModelSpec(model, markup=markup, **held)  # type: ignore[arg-type]
    chosen = [(_pinned(resolve_template(template, own), pinned), spec)]
    if against is not None or against_markup is not None:
        other = _pinned(resolve_template(against or template, own), pinned)
        chosen.append((other, replace(spec, markup=against_markup or markup)))
    console = draw.token_console()
    sides = [side_of(one, spec, messages) for one, spec in chosen]
    _print_model(console, model, sides[0].renderer)
    print_sides(console, sides, messages)
    if not any(side.problem for side in sides):
        return 0
    say("puretune: a study would stop at this rendering, for the reason above.", err=True)
    return 2


@dataclass(frozen=True)
class Side:
    """A template on a model: its rendering, and why a study would stop at it."""

    template: PromptTemplate
    spec: ModelSpec
    renderer: Renderer
    rendering: Rendering | None
    problem: str = ""


def side_of(template: PromptTemplate, spec: ModelSpec, messages: tuple[Message, ...]) -> Side:
    """The template rendered; where only text that was not requested is in the way, with that text."""
    from puretune.models import renderer_for

    renderer = renderer_for(spec)
    try:
        return Side(template, spec, renderer, renderer.example(template, messages))
    except InputError as error:
        problem = str(error)
    kept = renderer_for(replace(spec, default_system="keep"))
    try:
        return Side(template, spec, renderer, kept.example(template, messages), problem)
    except InputError:
        return Side(template, spec, renderer, None, problem)


def print_sides(console: Console, sides: list[Side], messages: tuple[Message, ...]) -> None:
    """One rendering, or two and their difference; then what ``apply_chat_template`` makes of each."""
    shown = [side.rendering.ids for side in sides if side.rendering]
    found = differences(*shown) if len(shown) == 2 else []
    only = [[i for d in found for i in d.left], [i for d in found for i in d.right]]
    names = ["A", "B"] if len(sides) == 2 else [""]
    for name, side, places in zip(names, sides, only, strict=False):
        title = Text.assemble((f"{name}  " if name else "", "bold"), (_name(side, sides), "bold"))
        if side.rendering:
            draw.print_rendering(console, title, side.renderer.tokenizer, side.rendering, places)
        else:
            console.print(title)
        for note in side.rendering.notes if side.rendering else ():
            console.print(Padding(Text(visible(note), style="yellow"), (0, 0, 1, 2)))
        if side.problem:
            console.print(Padding(Text(visible(side.problem), style="red"), (0, 0, 1, 2)))
    draw.print_legend(console, compared=bool(found))
    if len(shown) == 2:
        _print_difference(console, sides)
    _print_own(console, sides, messages)


def _name(side: Side, sides: list[Side]) -> str:
    alias = alias_of(side.template.name)
    name = side.template.name + (f" ({alias})" if alias != side.template.name else "")
    return name if len({s.spec.markup for s in sides}) == 1 else f"{name}, markup {side.spec.markup}"


def _pinned(template: PromptTemplate, pinned: tuple[str, ...]) -> PromptTemplate:
    given: dict[str, Any] = dict(template.arguments)
    for one in pinned:
        name, equals, value = one.partition("=")
        if not equals:
            raise InputError(f"--set {one_line(one)}: give NAME=VALUE, for instance enable_thinking=false.")
        given[name] = parse_yaml(value, f"--set {one_line(name, 40)}")[0]
    return replace(template, arguments=tuple(given.items()))


def _print_model(console: Console, model: str, renderer: Renderer) -> None:
    tokenizer = renderer.tokenizer
    stops = " ".join(tokenizer.convert_ids_to_tokens(sorted(renderer.stop_ids)))
    facts = {
        "tokens": f"{len(tokenizer):,}",
        "BOS": tokenizer.bos_token if renderer.writes_bos else "none",
        "stops": stops,
        "markup": renderer.markup.name if renderer.markup else "none",
    }
    line = Text(f"{model}\n", style="bold")
    line.append("   ".join(f"{key} {value}" for key, value in facts.items()) + "\n", style="dim")
    console.print(line)


def _print_difference(console: Console, sides: list[Side]) -> None:
    (a, left), (b, right) = [(name, side.rendering) for name, side in zip("AB", sides, strict=True)]
    assert left is not None
    assert right is not None
    found = differences(left.ids, right.ids)
    lost, added = (sum(len(getattr(d, side)) for d in found) for side in ("left", "right"))
    console.print(
        Text.assemble(
            ("\ndifference  ", "bold"),
            f"{len(left.ids) - lost} tokens in both, {lost} only in A, {added} only in B; "
            if found
            else "none; ",
            f"the trained tokens are {'the same' if _trained(left) == _trained(right) else 'NOT the same'}",
        )
    )
    if found:
        draw.print_differences(console, sides[0].renderer.tokenizer, [(a, left.ids), (b, right.ids)], found)


def _trained(rendering: Rendering) -> list[int]:
    return [id for id, on in zip(rendering.ids, rendering.loss_mask, strict=True) if on]


def _print_own(console: Console, sides: list[Side], messages: tuple[Message, ...]) -> None:
    """Whether ``apply_chat_template`` gives the same tokens, and where not."""
    for name, side in zip("AB" if len(sides) == 2 else " ", sides, strict=True):
        tokenizer = side.renderer.tokenizer
        if side.rendering is None or side.template.mode == "text" or not tokenizer.chat_template:
            continue
        label = Text.assemble(("\napply_chat_template  ", "bold"), f"{name}: ".lstrip(" :"))
        try:
            own = chat_template_ids(tokenizer, side.template, messages)
        except InputError as error:
            console.print(label + Text(f"rejects these turns: {error.__cause__ or error}"))
            continue
        found = differences(side.rendering.ids, own)
        console.print(
            label + Text("other tokens" if found else "the same tokens") + Text(_why(side, messages))
        )
        if found:
            both = [("here", side.rendering.ids), ("there", own)]
            draw.print_differences(console, tokenizer, both, found)


def _why(side: Side, messages: tuple[Message, ...]) -> str:
    """Notes about equal or different tokens: text that was trimmed, or kept as text."""
    assert side.rendering is not None
    kept = [token for message in messages for token in special_spellings(side.renderer.tokenizer, message)]
    said = [", with white space trimmed from the study's text"] if side.rendering.notes else []
    if kept:
        said.append(f"; puretune keeps {', '.join(map(repr, dict.fromkeys(kept)))} in a message as text")
    return visible("".join(said))
