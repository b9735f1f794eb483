"""The JSON Schema of a study file, for editors: every field with its description."""

from __future__ import annotations

import ast
import inspect
import textwrap
from types import ModuleType
from typing import Any

SCHEMA_URL = "https://json-schema.org/draft/2020-12/schema"

_SAME_FIELDS = {"RecipeChange": "RecipeSection"}
"""Sections that are made from another one, which has the docstrings."""


def json_schema() -> dict[str, Any]:
    """The schema (draft 2020-12); descriptions are the docstrings under the fields."""
    from puretune import templates
    from puretune.study.spec import judges, sections, study

    schema = study.Study.model_json_schema()
    files: tuple[ModuleType, ...] = (study, sections, judges, templates)
    for name, section in schema["$defs"].items():
        documented = _SAME_FIELDS.get(name, name)
        _describe(section, next(getattr(f, documented) for f in files if hasattr(f, documented)))
    _describe(schema, study.Study)
    return {"$schema": SCHEMA_URL, **schema}


def _describe(section: dict[str, Any], owner: type) -> None:
    for field, text in field_texts(owner).items():
        if field in section.get("properties", {}):
            section["properties"][field]["description"] = text
    section["description"] = inspect.cleandoc(owner.__doc__ or "").split("\n\n")[0].replace("\n", " ")


def field_texts(owner: type) -> dict[str, str]:
    """Field -> the docstring under it, of one of puretune's own classes and those it derives from."""
    return {field: text for base in reversed(owner.__mro__) for field, text in _docstrings(base).items()}


def _docstrings(owner: type) -> dict[str, str]:
    """Field -> the docstring under it, read from the class's source."""
    if not owner.__module__.startswith("puretune."):
        return {}
    body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, below in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and _is_text(below):
            found[field.target.id] = " ".join(ast.literal_eval(below.value).split())  # type: ignore[attr-defined]
    return found


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
