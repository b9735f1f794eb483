"""Which templates carry a safety prompt, and what that makes of a (train, test) pair."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from puretune.errors import InputError
from puretune.study import Matrix
from puretune.templates import BUILTIN_TEMPLATES, resolve_template

Mark = Literal["same", "ptst"]


def mark_of(train: str | None, test: str, matrix: Matrix) -> Mark | None:
    """``same``: one template on both sides; ``ptst``: tuned without a safety prompt, tested with one."""
    if train is None:
        return None
    if train == test:
        return "same"
    pure, safe = safety_prompt(train, matrix) is False, safety_prompt(test, matrix) is True
    return "ptst" if pure and safe else None


def safety_prompt(name: str, matrix: Matrix) -> bool | None:
    """Whether the template has a system prompt that can act as a safety prompt; None where nothing is known.

    Any system prompt counts, except Alpaca's "Below is an instruction ...", which only describes the format.
    """
    record = template_record(name, matrix)
    if "system" in record:
        system = record["system"]
    else:
        try:
            system = resolve_template(name).system
        except InputError:
            return None
    return bool(system) and system != BUILTIN_TEMPLATES["chat:alpaca"].system


def template_record(name: str, matrix: Matrix) -> Mapping[str, Any]:
    """What the study has kept of a template (``fingerprint``, ``system``, ``rendering``), or nothing."""
    templates = matrix.provenance.get("templates")
    record = templates.get(name) if isinstance(templates, Mapping) else None
    return record if isinstance(record, Mapping) else {}
