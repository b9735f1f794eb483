"""Relative paths in a study file are relative to the file, wherever the command is run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from puretune.data import SOURCES
from puretune.files import checked_path
from puretune.models import ADAPTER_CONFIG, MODELS
from puretune.scoring.judges import BUILTIN_JUDGES

_ALWAYS = ("path", "adapter", "checkpoint", "templates_file", "rubric", "lexicon", "launch")
_PERHAPS = ("model", "data", "source", "start", "with", "unaligned")
_AS_SAID = ("templates", "columns", "extra", "price", "limits")
_ENDPOINT = "openai"
_JUDGES = (".yaml", ".yml")
_SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".gz")


def anchored(fields: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """The raw content of a study file with its paths made absolute; anything else is left as it is.

    A model's name at an endpoint is never a path, whatever files are next to the study.
    """
    names = {"model"} if _asks_by_name(fields.get("engine")) else set()
    return {key: value if key in names else _value(key, value, base) for key, value in fields.items()}


def _asks_by_name(engine: Any) -> bool:
    """Whether the study's model is a name at the engine's endpoint."""
    said = engine if isinstance(engine, Mapping) else {"name": engine}
    return said.get("name") == _ENDPOINT and said.get("kind", "chat") == "chat"


def _value(key: str, value: Any, base: Path) -> Any:
    if key in _AS_SAID:
        return value
    if isinstance(value, Mapping):
        if key == "engine" and value.get("name") == _ENDPOINT:
            return value
        return _judge(value, base) if "judge" in value else anchored(value, base)
    if isinstance(value, list):
        return [_value(key, item, base) for item in value]
    if not isinstance(value, str):
        return value
    if key == "scorers":
        return str(base / checked_path(value, key)) if value.endswith(_JUDGES) else value
    if key in _ALWAYS or (key in _PERHAPS and _is_path(key, value, base)):
        return str(base / checked_path(value, key))
    return value


def _judge(fields: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """A judge: of one behind an endpoint, ``model`` is a name there."""
    names = {"model"} if fields["judge"] in list(BUILTIN_JUDGES) else set()
    return {key: value if key in names else _value(key, value, base) for key, value in fields.items()}


def _is_path(key: str, value: str, base: Path) -> bool:
    """A name that a package offers is never a path, whatever files are next to the study."""
    if value.startswith((".", "/", "~")) or value.endswith(_SUFFIXES):
        return True
    if not value:
        return False
    path = base / checked_path(value, key)
    if key in ("start", "with"):  # otherwise the name of a condition
        return (path / ADAPTER_CONFIG).is_file()
    return path.exists() and value not in (MODELS if key == "model" else SOURCES)
