"""Errors a user can act on: every message says what is wrong, where, and what to do.

The exit codes are part of the command line's contract: 0 done, 1 a check failed, 2 the user's input,
3 the environment.
"""

from __future__ import annotations

from collections.abc import Iterable

from puretune.names import listed, nearest
from puretune.visible import quoted


class PuretuneError(Exception):
    """Base of all errors puretune raises on purpose; ``exit_code`` is what the command line returns."""

    exit_code = 1


class CheckFailed(PuretuneError):
    """Something that was to be verified does not hold (a digest, a data check, a fingerprint)."""


class InputError(PuretuneError):
    """The user's input is wrong: a file, a key, a name, a value."""

    exit_code = 2


class EnvironmentFault(PuretuneError):
    """The machine cannot do it: a missing library, an unwritable directory, no memory, a lock held."""

    exit_code = 3


def unknown(kind: str, name: str, known: Iterable[str], where: str = "") -> InputError:
    """The error for an unknown name: the nearest known name, then the known names (the first hundred)."""
    names = sorted(known)
    near = nearest(name, names, cutoff=0.5)
    hint = f"Did you mean {near!r}? " if near else ""
    place = f"{where}: " if where else ""
    return InputError(
        f"{place}unknown {kind} {quoted(name, 60)}. {hint}Known: {listed(names, 100) or 'none'}."
    )
