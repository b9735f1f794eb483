"""Where everything that is printed passes: foreign text is made visible, never sent to the terminal raw."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from puretune.visible import visible

if TYPE_CHECKING:
    from rich.console import Console


def say(text: object = "", err: bool = False, nl: bool = True) -> None:
    """Print a line (on stderr with ``err``), every control character of it visible."""
    click.echo(visible(text), err=err, nl=nl)


def new_console(stderr: bool = False, widest: int | None = None) -> Console:
    """A rich console whose strings are text, never markup; at most ``widest`` columns wide."""
    made: Console = _classes()(stderr=stderr)
    if widest is not None:
        made.width = min(made.width, widest)
    return made


def tolerant_streams() -> None:
    """Let stdout and stderr show what their encoding does not know as escapes, in place of an error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _classes() -> Any:
    """The console class; made on first use because rich takes a tenth of a second to import."""
    from rich.console import Console, RenderHook
    from rich.segment import Segment

    class Visible:
        """Shows what another renderable yields; only rich's own control segments pass as they are."""

        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def __rich_console__(self, console: Console, options: Any) -> Iterable[Segment]:
            for segment in console.render(self.inner, options):
                yield segment if segment.control else Segment(visible(segment.text), segment.style)

    class Hook(RenderHook):
        def process_renderables(self, renderables: list[Any]) -> list[Any]:
            return [Visible(one) for one in renderables]

    class SafeConsole(Console):
        def __init__(self, stderr: bool) -> None:
            super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)
            self.push_render_hook(Hook())

        def render_str(self, text: str, **options: Any) -> Any:  # before layout, so that widths are right
            return super().render_str(visible(text), **options)

    return SafeConsole
