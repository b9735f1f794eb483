"""Lines of a study file: values in YAML's flow style, each with its reason behind it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
WIDEST = 100


def flow(value: Any) -> str:
    """A value on one line, as YAML reads it back."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{flow(str(k))}: {flow(v)}' for k, v in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(flow, value))}]"
    if isinstance(value, float):
        return f"{value:.1e}" if 0 < abs(value) < 1e-2 else f"{value:g}"
    if not isinstance(value, str):
        return json.dumps(value)
    bare = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
    return value if bare else _quoted(value)


def _quoted(text: str) -> str:
    """In double quotes; what a reader would not see is escaped."""
    kept = json.dumps(text, ensure_ascii=False)
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in kept)


def entry(key: str, value: Any, why: str, depth: int) -> str:
    """``key: value # why``."""
    return f"{'  ' * depth}{key}: {flow(value)}{_comment(why)}"


def lines_of(key: str, fields: Mapping[str, Any], why: str, depth: int) -> list[str]:
    """A mapping below a key, or (without one) an item of a list, its reason above it."""
    lead = "  " * depth
    said = [f"{lead}# {' '.join(why.split())}"] if why else []
    whole = f"{lead}{f'{key}:' if key else '-'} {flow(fields)}"
    if len(whole) <= WIDEST:
        return [*said, whole]
    lines = [f"{lead}  {flow(name)}: {flow(value)}" for name, value in fields.items()]
    if key:
        return [*said, f"{lead}{key}:", *lines]
    return [*said, f"{lead}- {lines[0].lstrip()}", *lines[1:]]


def _comment(why: str) -> str:
    return f" # {' '.join(why.split())}" if why else ""
