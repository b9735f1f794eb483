"""``puretune chat``: several conditions answer the same question side by side."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from puretune.cli._output import new_console, say
from puretune.cli._parameters import PATH
from puretune.visible import visible

if TYPE_CHECKING:
    from puretune.deploy.serve import LocalBackend, Release

_HELP = "Ask, or /reset to forget the conversation, /quit to leave."


@dataclass
class _Talk:
    """One condition's side of the conversation."""

    release: Release
    turns: list[dict[str, str]] = field(default_factory=list)
    shown: str = ""


@click.command()
@click.argument("directories", metavar="DIR...", type=PATH, nargs=-1, required=True)
@click.option("--untuned", is_flag=True, help="Ask the base model too, under the first export's template.")
@click.option("--ask", multiple=True, metavar="TEXT", help="Ask this and leave; may be repeated.")
@click.option("--system", metavar="TEXT", help="A system message of your own, as a client would send it.")
@click.option("--max-tokens", type=click.IntRange(min=1, max=32768), default=256, show_default=True)
@click.option("--device", default="auto", help="Where the models are.")
def chat(
    directories: tuple[Path, ...],
    untuned: bool,
    ask: tuple[str, ...],
    system: str | None,
    max_tokens: int,
    device: str,
) -> None:
    """Ask exports the same questions in the terminal, side by side, as they write.

    \b
    puretune chat ship --untuned
    puretune chat ship other --ask "How many are left?"

    Each is shown the prompt that was measured. /reset forgets the conversation, /quit leaves.
    """
    from puretune.deploy.serve import LocalBackend, releases

    served = releases(directories)
    if untuned:
        first = next(iter(served.values()))
        served["untuned"] = replace(first, name="untuned", untuned=True)
    backend = LocalBackend(served, device)
    opening = [{"role": "system", "content": system}] if system else []
    talks = [_Talk(release, list(opening)) for release in served.values()]
    for question in ask or _questions():
        if question == "/reset":
            talks = [_Talk(release, list(opening)) for release in served.values()]
        else:
            _answer(backend, talks, question, max_tokens)


def _questions() -> Iterator[str]:
    """Lines that people type, until /quit or the end."""
    if sys.stdin.isatty():
        say(_HELP, err=True)
    while True:
        if sys.stdin.isatty():
            say("> ", nl=False, err=True)
        line = sys.stdin.readline()
        text = line.strip()
        if not line or text in ("/quit", "/exit"):
            return
        if text:
            yield text


def _answer(backend: LocalBackend, talks: list[_Talk], question: str, max_tokens: int) -> None:
    """Everybody's answer to one question, drawn as it is written."""
    from rich.live import Live

    console = new_console()
    if not console.is_terminal:
        for talk in talks:
            for _ in _written(backend, talk, question, max_tokens):
                pass
            say(f"{talk.release.name}: {talk.shown}")
        return
    for talk in talks:
        talk.shown = ""
    with Live(_columns(talks), console=console, refresh_per_second=12, vertical_overflow="visible") as live:
        for talk in talks:
            for _ in _written(backend, talk, question, max_tokens):
                live.update(_columns(talks))


def _written(backend: LocalBackend, talk: _Talk, question: str, max_tokens: int) -> Iterator[None]:
    """One answer, piece by piece; a refusal of the template is shown in its place."""
    from puretune.deploy.serve import Refusal, read_ask

    turns = [*talk.turns, {"role": "user", "content": question}]
    body = {"model": talk.release.name, "messages": turns, "max_tokens": max_tokens}
    talk.shown, said = "", ""
    try:
        for piece in backend.pieces(talk.release, read_ask(body, chat=True)):
            said += piece.text
            talk.shown = visible(said)
            yield
        talk.turns = [*turns, {"role": "assistant", "content": said}]
    except Refusal as refusal:
        talk.shown = f"refused: {visible(refusal)}"
        yield


def _columns(talks: list[_Talk]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, expand=True, padding=(0, 1), header_style="bold")
    for talk in talks:
        table.add_column(visible(talk.release.name), ratio=1)
    table.add_row(*(Text(talk.shown) for talk in talks))
    return table
