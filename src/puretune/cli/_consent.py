"""The notice before data goes to an endpoint: always shown; asked about where that is not this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from puretune.cli._output import say
from puretune.errors import InputError
from puretune.events import EventSink

if TYPE_CHECKING:
    from puretune.endpoints import Notice


class Consents:
    """Shows notices and asks; ``yes`` answers them all."""

    def __init__(self, yes: bool) -> None:
        self._yes = yes
        self._sink: EventSink | None = None

    @contextmanager
    def over(self, sink: EventSink) -> Iterator[None]:
        """While the block runs, progress bars of ``sink`` step aside for a question."""
        self._sink = sink
        try:
            yield
        finally:
            self._sink = None

    def ask(self, notice: Notice) -> None:
        """InputError if nobody agrees, or nobody can be asked."""
        from puretune.cli._progress import aside

        with aside(self._sink):
            say(str(notice), err=True)
            if notice.loopback or self._yes:
                return
            if not sys.stdin.isatty():
                raise InputError(
                    "data would leave this machine, and there is no terminal to ask for consent. Agree "
                    "with --yes."
                )
            if not click.confirm("Go on?", default=False, err=True):
                raise InputError("stopped before anything was sent.")
