"""Commands that are imported when they are called."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

import click


def command_in(commands: Mapping[str, tuple[str, str]], name: str) -> click.Command | None:
    """The command of that name among ``(module:attribute, help line)`` by name; None if there is none."""
    if name not in commands:
        return None
    module, attribute = commands[name][0].split(":")
    command: click.Command = getattr(import_module(module), attribute)
    return command
