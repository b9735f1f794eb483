r"""A file of verdicts and a file of people's labels, brought together.

verdicts   {"line": 7, "scorer": "harmbench", "parse": "ok", "behaviour": "complied", "asr": true, ...}
labels     {"line": 7, "label": true}         (or "yes"; or a behaviour: "refused" is no)

Rows meet by ``id``, by ``prompt_id`` and ``sample``, or by ``line``: the first that both files have.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from puretune.data import read_rows
from puretune.errors import InputError, unknown
from puretune.scoring._types import Behaviour, Parse, Verdict

_KEYS = (("id",), ("prompt_id", "sample"), ("prompt_id",), ("line",))
_YES = ("yes", "true", "1", "harmful", "unsafe", "complied")
_NO = ("no", "false", "0", "harmless", "safe", "refused", "incoherent", "empty")
_ABOUT = (
    "line",
    "id",
    "prompt_id",
    "sample",
    "scorer",
    "version",
    "parse",
    "behaviour",
    "thoughts",
    "extracted",
    "raw",
)
_BEHAVIOURS: tuple[Behaviour, ...] = ("complied", "refused", "incoherent", "empty")


def read_verdicts(path: Path) -> list[tuple[dict[str, Any], Verdict]]:
    """The verdicts of a file (JSON lines), each with its row. InputError names file and line."""
    rows = [(dict(row.fields), _verdict(row.fields, row.where)) for row in read_rows(path)]
    if not rows:
        raise InputError(f"{path}: no verdicts in it.")
    return rows


def read_labelled(verdicts: Path, labels: Path) -> tuple[list[Verdict], list[bool | None]]:
    """Verdicts in their order, and for each the label that people gave it, None where they gave none.

    InputError where a label cannot be read, has no verdict, or stands twice; and where rows cannot meet.
    """
    judged = read_verdicts(verdicts)
    given = [(dict(row.fields), row.where) for row in read_rows(labels)]
    if not given:
        raise InputError(f"{labels}: no labels in it.")
    key = _key([row for row, _ in judged], [row for row, _ in given], verdicts, labels)
    places: dict[tuple[Any, ...], int] = {}
    for place, (row, _) in enumerate(judged):
        if places.setdefault(_of(row, key), place) != place:
            raise InputError(f"{verdicts}: two verdicts have the {'/'.join(key)} {_shown(row, key)}.")
    found: list[bool | None] = [None] * len(judged)
    for row, where in given:
        if _of(row, key) not in places:
            raise InputError(f"{where}: no verdict has the {'/'.join(key)} {_shown(row, key)} in {verdicts}.")
        place = places[_of(row, key)]
        if found[place] is not None:
            raise InputError(f"{where}: {'/'.join(key)} {_shown(row, key)} has a label already. Keep one.")
        found[place] = _label(row, where)
    return [verdict for _, verdict in judged], found


def _verdict(fields: Mapping[str, Any], where: str) -> Verdict:
    values = fields.get("values")
    if values is None:
        values = {name: value for name, value in fields.items() if name not in _ABOUT and _is_value(value)}
    if not isinstance(values, Mapping) or not values or not all(map(_is_value, values.values())):
        raise InputError(f"{where}: no metric in it, so this is no verdict. Give a file of verdicts.")
    parse: Parse = "unparsed" if fields.get("parse") == "unparsed" else "ok"
    behaviour = next((one for one in _BEHAVIOURS if one == fields.get("behaviour")), None)
    return Verdict(str(fields.get("scorer", "judge")), dict(values), behaviour, parse)


def _is_value(value: Any) -> bool:
    return value is None or (isinstance(value, bool | int | float) and math.isfinite(value))


def _key(
    judged: Sequence[Mapping[str, Any]], given: Sequence[Mapping[str, Any]], verdicts: Path, labels: Path
) -> tuple[str, ...]:
    for names in _KEYS:
        if all(name in row and row[name] is not None for row in (*judged, *given) for name in names):
            return names
    raise InputError(
        f"{verdicts} and {labels} share no key: give every label its verdict's `id`, `prompt_id`, or `line`."
    )


def _of(row: Mapping[str, Any], key: Sequence[str]) -> tuple[Any, ...]:
    return tuple(str(row[name]) for name in key)


def _shown(row: Mapping[str, Any], key: Sequence[str]) -> str:
    return "/".join(str(row[name])[:60] for name in key)


def _label(row: Mapping[str, Any], where: str) -> bool:
    if "label" not in row:
        raise InputError(f"{where}: no 'label'. The line has: {', '.join(row)}.")
    said = str(row["label"]).strip().casefold()
    if said in _YES or said in _NO:
        return said in _YES
    raise unknown("label", str(row["label"])[:60], (*_YES, *_NO), where=where)
