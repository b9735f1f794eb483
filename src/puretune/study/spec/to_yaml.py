"""A study as YAML again: every default spelled out, absolute paths, and nothing added.

A null is written where it says something: where the user wrote it, or where the default is another value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from puretune.files import working_directory
from puretune.study.spec.paths import anchored
from puretune.study.spec.sections import Changes
from puretune.study.spec.study import Study
from puretune.tuning import Loss

_LINE_ENDS = frozenset("\r\x85\u2028\u2029")


def resolved_yaml(study: Study) -> str:
    """The study as YAML: it runs from anywhere, and its plan has the same key."""
    import yaml

    content = anchored(plain_values(study), working_directory())

    class Dumper(yaml.SafeDumper):
        """Quotes texts with line ends that the plainer styles would read back as blanks."""

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        style = '"' if _LINE_ENDS & set(value) else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    return str(yaml.dump(content, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100))


def plain_values(value: Any) -> Any:
    """Mappings, lists, text and numbers."""
    if isinstance(value, BaseModel):
        return {name: plain_values(item) for name, item in _of_model(value)}
    if isinstance(value, Loss):
        return value.said()
    if is_dataclass(value) and not isinstance(value, type):
        return {name: plain_values(item) for name, item in _of_dataclass(value)}
    if isinstance(value, Mapping):
        return {key: plain_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_values(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _of_model(value: BaseModel) -> Iterator[tuple[str, Any]]:
    for name, about in type(value).model_fields.items():
        item, given = getattr(value, name), name in value.model_fields_set
        if given or (not isinstance(value, Changes) and (item is not None or about.default is not None)):
            yield name, item
    yield from (value.model_extra or {}).items()


def _of_dataclass(value: Any) -> Iterator[tuple[str, Any]]:
    for about in fields(value):
        item = getattr(value, about.name)
        if item is not None or _default(about) is not None:
            yield about.name, item


def _default(about: Field[Any]) -> Any:
    return about.default_factory() if about.default_factory is not MISSING else about.default
