"""Which templates carry safety instructions, and what that makes of a (train, test) pair."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from puretune.errors import InputError
from puretune.study import Matrix
from puretune.templates import resolve_template

Mark = Literal["same", "ptst"]


def mark_of(train: str | None, test: str, matrix: Matrix) -> Mark | None:
    """``same``: one template on both sides; ``ptst``: tuned without safety instructions, tested with them."""
    if train is None:
        return None
    if train == test:
        return "same"
    pure, safe = safety_prompt(train, matrix) is False, safety_prompt(test, matrix) is True
    return "ptst" if pure and safe else None


def safety_prompt(name: str, matrix: Matrix) -> bool | None:
    """Whether the template is declared to carry safety instructions; None if nothing is known of it."""
    record = template_record(name, matrix)
    if "safety" in record:
        return bool(record["safety"])
    try:
        return resolve_template(name).safety
    except InputError:
        return None


def template_record(name: str, matrix: Matrix) -> Mapping[str, Any]:
    """What the study has kept of a template (``fingerprint``, ``system``, ``rendering``), or nothing."""
    templates = matrix.provenance.get("templates")
    record = templates.get(name) if isinstance(templates, Mapping) else None
    return record if isinstance(record, Mapping) else {}
