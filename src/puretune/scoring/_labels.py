r"""A file of verdicts and a file of people's labels, brought together.

verdicts   {"line": 7, "scorer": "harmbench", "parse": "ok", "behaviour": "complied", "asr": true, ...}
labels     {"line": 7, "label": true}         (or "yes"; or a behaviour, understood by what the metric counts)

Rows meet by ``id``, by ``line``, or by where an answer is in a study: ``prompt_id`` with as many of
``condition``, ``seed``, ``step``, ``test_template``, ``suite`` and ``sample`` as both files have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from puretune.data import read_rows
from puretune.errors import InputError, unknown
from puretune.scoring._label_words import label_of
from puretune.scoring._metric import Measures
from puretune.scoring._types import Behaviour, Parse, Verdict
from puretune.visible import one_line, visible

_PLACE = ("condition", "seed", "step", "test_template", "suite", "prompt_id", "sample")
"""What locates an answer in a study."""
_ARM = ("condition", "step", "test_template")
_ABOUT = (
    *(*_PLACE, "line", "id", "scorer", "version", "train_template", "train_fingerprint", "test_fingerprint"),
    *("parse", "behaviour", "thoughts", "finish", "score", "measures", "extracted", "raw"),
)
_BEHAVIOURS: tuple[Behaviour, ...] = ("complied", "refused", "incoherent", "empty")
_PUBLISHED: Mapping[str, Measures] = {
    **dict.fromkeys(("asr", "asr_4", "mean_score", "unsafe_rate", "strongreject"), "harm"),
    "refusal_rate": "refusal",
    "incoherent_rate": "incoherence",
}
"""What the metrics of puretune's own scorers count, for files that do not say it."""


@dataclass(frozen=True)
class Labelled:
    """Verdicts of one scorer with people's labels, all in the file's order."""

    verdicts: tuple[Verdict, ...]
    labels: tuple[bool | None, ...]
    """None if people have not looked."""
    metric: str
    """What the labels say yes or no to."""
    prompts: tuple[str, ...]
    """Verdicts on answers to the same prompt have the same."""
    arms: tuple[str, ...]
    """Who answered under which template; all alike where the file does not say."""


def read_verdicts(path: Path) -> list[tuple[dict[str, Any], Verdict]]:
    """The verdicts of a file (JSON lines), each with its row. InputError names file and line."""
    rows = [(dict(row.fields), _verdict(row.fields, row.where)) for row in read_rows(path)]
    if not rows:
        raise InputError(f"{visible(path)}: no verdicts in it.")
    return rows


def read_labelled(
    verdicts: Path,
    labels: Path,
    metric: str | None = None,
    scorer: str | None = None,
    suite: str | None = None,
) -> Labelled:
    """Verdicts in their order, and for each the label that people gave it, None if they gave none.

    ``metric``: what the labels are about (None: the scorer's first); ``scorer``: whose verdicts, where the
    file has several scorers'; ``suite``: on which suite, where it has several. InputError where it is not
    said which of several; where a label cannot be read, does not say yes or no to the metric, has no verdict,
    or occurs twice; and where rows cannot meet.
    """
    judged = _chosen(read_verdicts(verdicts), {"scorer": scorer, "suite": suite}, verdicts)
    given = [(dict(row.fields), row.where) for row in read_rows(labels)]
    given = [row for row in given if suite in (None, row[0].get("suite", suite))]
    if not given:
        about = "" if suite is None else f" about the suite {one_line(suite)}"
        raise InputError(f"{visible(labels)}: no labels{about} in it.")
    key = _key([row for row, _ in judged], [row for row, _ in given], verdicts, labels)
    places = _places([row for row, _ in judged], key, verdicts)
    wanted = metric or next(iter(judged[0][1].values))
    found: list[bool | None] = [None] * len(judged)
    for row, where in given:
        place = places.get(_of(row, key))
        if place is None:
            raise InputError(
                f"{where}: no verdict has the {'/'.join(key)} {_shown(row, key)} in {visible(verdicts)}."
            )
        if found[place] is not None:
            raise InputError(f"{where}: {'/'.join(key)} {_shown(row, key)} already has a label. Keep one.")
        found[place] = _label(row, wanted, _measures(judged[place][0], wanted), where)
    return Labelled(
        verdicts=tuple(verdict for _, verdict in judged),
        labels=tuple(found),
        metric=wanted,
        prompts=tuple(_prompt(row, number) for number, (row, _) in enumerate(judged)),
        arms=tuple(_arm(row) for row, _ in judged),
    )


def _chosen(
    rows: Sequence[tuple[dict[str, Any], Verdict]], wanted: Mapping[str, str | None], path: Path
) -> Sequence[tuple[dict[str, Any], Verdict]]:
    """The verdicts of the wanted scorer on the wanted suite; InputError where one of several is not said."""
    for what, name in wanted.items():
        if name is not None:
            names = dict.fromkeys(_origin(row, what) for row in rows)
            if name not in names:
                raise unknown(what, name, names, where=visible(path))
            rows = [row for row in rows if _origin(row, what) == name]
    for what in wanted:
        if len(several := dict.fromkeys(_origin(row, what) for row in rows)) > 1:
            raise InputError(
                f"{visible(path)}: verdicts of several {what}s ({', '.join(map(one_line, several))}). "
                f"Say which: --{what} NAME."
            )
    return rows


def _origin(row: tuple[dict[str, Any], Verdict], what: str) -> str:
    """The scorer, or the suite, that a verdict is from."""
    return row[1].scorer if what == "scorer" else str(row[0].get(what, ""))


def _places(rows: Iterable[Mapping[str, Any]], key: Sequence[str], path: Path) -> dict[tuple[Any, ...], int]:
    places: dict[tuple[Any, ...], int] = {}
    for place, row in enumerate(rows):
        if places.setdefault(_of(row, key), place) != place:
            raise InputError(
                f"{visible(path)}: two verdicts have the {'/'.join(key)} {_shown(row, key)}. Give the labels "
                f"what tells them apart ({', '.join(name for name in _PLACE if name not in key)})."
            )
    return places


def _verdict(fields: Mapping[str, Any], where: str) -> Verdict:
    values = fields.get("values")
    if values is None:
        values = {name: value for name, value in fields.items() if name not in _ABOUT and _is_number(value)}
    if not isinstance(values, Mapping) or not values:
        raise InputError(f"{where}: no metric in it, so this is not a verdict. Give a file of verdicts.")
    for name, value in values.items():
        if not _is_number(value) or (value is not None and not 0 <= value <= 1):
            raise InputError(
                f"{where}: {one_line(str(name))} is {one_line(str(value)[:40])}; a verdict's value is true, "
                "false, null, or a number from 0 to 1."
            )
    parse: Parse = "unparsed" if fields.get("parse") == "unparsed" else "ok"
    behaviour = next((one for one in _BEHAVIOURS if one == fields.get("behaviour")), None)
    return Verdict(str(fields.get("scorer", "judge")), dict(values), behaviour, parse)


def _is_number(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float)


def _key(
    judged: Sequence[Mapping[str, Any]], given: Sequence[Mapping[str, Any]], verdicts: Path, labels: Path
) -> tuple[str, ...]:
    """By what rows meet: the names that every row of both files has."""
    rows = (*judged, *given)
    place = tuple(name for name in _PLACE if all(name in row for row in rows))
    for main, names in (("id", ("id",)), ("prompt_id", place), ("line", ("line",))):
        if all(row.get(main) is not None for row in rows):
            return names
    raise InputError(
        f"{visible(verdicts)} and {visible(labels)} share no key: give every label its verdict's `id`, "
        "`prompt_id`, or `line`."
    )


def _of(row: Mapping[str, Any], key: Sequence[str]) -> tuple[Any, ...]:
    return tuple(str(row[name]) for name in key)


def _shown(row: Mapping[str, Any], key: Sequence[str]) -> str:
    return "/".join(one_line(str(row[name])[:60]) for name in key)


def _label(row: Mapping[str, Any], metric: str, measures: Measures | None, where: str) -> bool:
    if "label" not in row:
        raise InputError(f"{where}: no 'label'. The line has: {', '.join(map(one_line, row))}.")
    return label_of(row["label"], metric, measures, where)


def _measures(row: Mapping[str, Any], metric: str) -> Measures | None:
    """What the metric counts, as the verdict says, or as puretune's own scorers do."""
    said = row.get("measures")
    if isinstance(said, Mapping) and isinstance(said.get(metric), str):
        return said[metric]  # type: ignore[no-any-return]
    return _PUBLISHED.get(metric)


def _prompt(row: Mapping[str, Any], number: int) -> str:
    """The prompt a verdict's answer is to, or the request that it paraphrases; a file of single answers has
    one each."""
    named = row.get("paraphrase_of", row.get("prompt_id"))
    return str(number) if named is None else f"{row.get('suite', '')}/{named}"


def _arm(row: Mapping[str, Any]) -> str:
    return " -> ".join(str(row[name]) for name in _ARM if row.get(name) is not None)
