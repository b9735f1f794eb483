"""The notice before anybody's data goes to an endpoint, and who may agree to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from puretune.errors import InputError


class Notice(Protocol):
    """What is shown before data is sent, as text; ``loopback``: it stays on this machine."""

    @property
    def loopback(self) -> bool: ...


Consent = Callable[[Notice], None]
"""Shown the notice; raises InputError if the data may not go."""


def loopback_only(notice: Notice) -> None:
    """Agree to endpoints on this machine only: the rule where nobody can be asked."""
    if not notice.loopback:
        raise InputError(
            f"{notice}\nNobody agreed to that. Agree with --yes, or in Python with "
            "consent=puretune.scoring.agree."
        )


def agree(notice: Notice) -> None:
    """Agree to any endpoint."""


def stays_or_leaves(loopback: bool) -> str:
    """How a notice words where data goes."""
    return "stays on this machine" if loopback else "LEAVES THIS MACHINE"
