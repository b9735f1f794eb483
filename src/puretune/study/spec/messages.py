"""Errors about a study, said with file, line, key and fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from puretune.errors import InputError
from puretune.files import kind_of
from puretune.study.spec.positions import Origin, Place, dotted
from puretune.visible import one_line, visible

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

TAG = "#"
"""Begins the tags of unions; pydantic puts them into the locations of errors, where they mean nothing."""

_PROBLEMS_SHOWN = 20
_MISSING = "this key is missing. Add `{key}: ...`."
_MAPPING = "{given} should be a mapping. Write keys below it, or {{key: value}}."
_SAID = {
    "missing": _MISSING,
    "missing_keyword_only_argument": _MISSING,
    "missing_argument": _MISSING,
    "path_type": "{given} should be a path.",
    "string_type": "{given} should be text.",
    "string_unicode": "{given} has half a character in it (a lone surrogate). Remove it.",
    "tuple_type": "{given} should be a list. Write `{key}: [...]`.",
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "dataclass_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "too_short": "the list is empty. Give at least one.",
    "string_pattern_mismatch": "{given} has a character that is not allowed. Use letters, digits, dots and "
    "dashes.",
}
"""What pydantic's kinds of errors say here: ``given`` is the value, ``key`` its key."""
_UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")


class Placed:
    """A block whose InputErrors are raised again with their place in the study in front."""

    def __init__(self, place: Place, origin: Origin | None) -> None:
        self._place = place
        self._origin = origin

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, InputError):
            raise InputError(f"{where(self._place, self._origin)}: {error}") from error


def where(place: Place, origin: Origin | None) -> str:
    """``study.yaml:7: tuning.data``, or ``Study: tuning.data`` for one made in Python."""
    file = f"{visible(origin.path)}:{origin.line(place)}" if origin else "Study"
    return f"{file}: {one_line(dotted(place))}" if place else file


def explain(error: ValidationError, model: type[BaseModel], origin: Origin | None = None) -> str:
    """What pydantic found, one line per problem, in the file's order."""
    problems = [d for d in error.errors(include_url=False) if _true(d)]
    found = [(_place(details), details) for details in problems[: 2 * _PROBLEMS_SHOWN]]
    if origin:
        found.sort(key=lambda pair: origin.line(pair[0]))
    schema = model.model_json_schema()
    lines = [f"{where(p, origin)}: {_say(p, details, schema)}" for p, details in found[:_PROBLEMS_SHOWN]]
    more = [f"... and {len(problems) - len(lines):,} more problems."] if len(problems) > len(lines) else []
    return "\n".join([*lines, *more])


def _true(details: ErrorDetails) -> bool:
    """False for a list that pydantic calls too short because its entries are wrong: these are told."""
    return details["type"] != "too_short" or not details["input"]


def _place(details: ErrorDetails) -> Place:
    return [part for part in details["loc"] if not (isinstance(part, str) and part.startswith(TAG))]


def _say(place: Place, details: ErrorDetails, schema: Mapping[str, Any]) -> str:
    kind, given = details["type"], details["input"]
    if kind in _UNKNOWN_KEY:
        return _unknown_key(str(place[-1]), sorted(_keys_at(schema, place[:-1])))
    if kind == "literal_error":
        return _not_one_of(str(given), details["ctx"]["expected"])
    if kind == "value_error":
        return details["msg"].removeprefix("Value error, ")
    if kind == "string_type" and isinstance(given, bool | int | float):
        return f"{_short(given)} should be text. Put it in quotes."
    if kind in _SAID:
        return _SAID[kind].format(given=_short(given), key=place[-1] if place else "")
    message = details["msg"].removeprefix("Input ")
    return f"{_short(given)} {message[:1].lower()}{message[1:]}."


def _unknown_key(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key[:100], known, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"unknown key.{hint} Known: {', '.join(known)}."


def _not_one_of(given: str, expected: str) -> str:
    choices = [word.strip("' ") for word in expected.replace(" or ", ",").split(",")]
    near = difflib.get_close_matches(given[:100], choices, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"{_short(given)} is not one of {', '.join(choices)}.{hint}"


def _short(value: Any) -> str:
    return kind_of(value) if isinstance(value, list | tuple | dict) else one_line(repr(value), 60)


def _keys_at(schema: Mapping[str, Any], place: Place) -> set[str]:
    """The keys that the schema knows at a place."""
    branches = [schema]
    for part in place:
        branches = [below for branch in branches for below in _below(schema, branch, part)]
    return {
        key
        for branch in branches
        for inner in _expanded(schema, branch)
        for key in inner.get("properties", {})
    }


def _below(
    schema: Mapping[str, Any], branch: Mapping[str, Any], part: str | int
) -> Iterator[Mapping[str, Any]]:
    for inner in _expanded(schema, branch):
        if isinstance(part, int):
            if "items" in inner:
                yield inner["items"]
        elif part in inner.get("properties", {}):
            yield inner["properties"][part]
        elif isinstance(inner.get("additionalProperties"), Mapping):
            yield inner["additionalProperties"]


def _expanded(schema: Mapping[str, Any], branch: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The branch with its references and alternatives followed."""
    if "$ref" in branch:
        yield from _expanded(schema, schema["$defs"][branch["$ref"].rpartition("/")[2]])
    for inner in (*branch.get("anyOf", ()), *branch.get("oneOf", ())):
        yield from _expanded(schema, inner)
    yield branch
