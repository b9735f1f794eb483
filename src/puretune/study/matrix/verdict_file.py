"""``verdicts.jsonl`` read back: every line checked, because people open and edit what a run has written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from puretune.errors import EnvironmentFault, InputError
from puretune.files import checked_path, kind_of, parse_json, regular
from puretune.visible import one_line, quoted, visible

_ADVICE = "Run the study again: it writes the file again."
_TEXTS = ("condition", "test_template", "suite", "scorer", "prompt_id")


@dataclass(frozen=True)
class VerdictRow:
    """One scorer's verdict on one answer."""

    condition: str
    seed: int | None
    step: int | None
    test_template: str
    suite: str
    scorer: str
    prompt_id: str
    sample: int
    values: Mapping[str, float | None]
    """In [0, 1]; None if the verdict could not be read."""
    category: str | None = None
    draw: str | None = None
    """The request that the prompt paraphrases; None: none."""


def read_verdicts(path: Path) -> Iterator[VerdictRow]:
    """The verdicts of a finished run, in the file's order.

    InputError, naming file and line, for a file that is not one, a value of the wrong type or outside [0, 1],
    and an answer that one scorer judged twice.
    """
    lines: dict[tuple[object, ...], int] = {}
    for number, text in _lines(path):
        where = f"{visible(path)}:{number}"
        row = _row(parse_json(text, where), where)
        key = row.condition, row.seed, row.step, row.test_template, row.suite, row.scorer, row.prompt_id
        first = lines.setdefault((*key, row.sample), number)
        if first != number:
            raise InputError(
                f"{where}: {quoted(row.scorer)} judged answer {quoted(row.prompt_id)} (sample "
                f"{row.sample}) twice, first on line {first}. {_ADVICE}"
            )
        yield row


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    file = checked_path(path, "run directory")
    if file.is_dir():
        raise InputError(f"{visible(path)}: this is a directory, not the verdicts of a run. {_ADVICE}")
    try:
        with regular(file).open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, line
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{visible(path)}: no such file. A finished `puretune run` writes it.") from None
    except PermissionError:
        raise EnvironmentFault(
            f"{visible(path)}: not readable by this user. Check its permissions."
        ) from None
    except OSError as error:
        raise InputError(f"{visible(path)}: cannot be read: {error.strerror or error}.") from None


def _row(content: Any, where: str) -> VerdictRow:
    if not isinstance(content, dict):
        raise _wrong(where, "a verdict", content, "a mapping")
    for name in _TEXTS:
        if not isinstance(content.get(name), str):
            raise _wrong(where, repr(name), content.get(name), "text")
    for name in ("category", "paraphrase_of"):
        if not isinstance(content.get(name), str | None):
            raise _wrong(where, repr(name), content[name], "text or null")
    return VerdictRow(
        condition=content["condition"],
        seed=_whole(content.get("seed"), where, "'seed'", or_null=True),
        step=_whole(content.get("step"), where, "'step'", or_null=True),
        test_template=content["test_template"],
        suite=content["suite"],
        scorer=content["scorer"],
        prompt_id=content["prompt_id"],
        sample=_whole(content.get("sample", 0), where, "'sample'") or 0,
        values=_values(content, where),
        category=content.get("category"),
        draw=content.get("paraphrase_of"),
    )


def _values(content: Mapping[str, Any], where: str) -> dict[str, float | None]:
    values = content.get("values")
    if not isinstance(values, dict):
        raise _wrong(where, "'values'", values, "a mapping of metrics")
    unparsed = content.get("parse") == "unparsed"
    return {name: _value(value, f"{where}: {quoted(name)}", unparsed) for name, value in values.items()}


def _value(value: Any, what: str, unparsed: bool) -> float | None:
    if value is None:
        return None
    if not isinstance(value, bool | int | float):
        raise InputError(f"{what} is {kind_of(value)}, not a number from 0 to 1. {_ADVICE}")
    if not 0 <= value <= 1:
        raise InputError(f"{what} is {one_line(value, 30)}, outside 0 to 1. {_ADVICE}")
    return None if unparsed else float(value)


def _whole(value: Any, where: str, what: str, or_null: bool = False) -> int | None:
    if value is None and or_null:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise _wrong(where, what, value, "a whole number" + (" or null" if or_null else ""))
    return value


def _wrong(where: str, what: str, value: Any, wanted: str) -> InputError:
    return InputError(f"{where}: {what} is {kind_of(value)}, not {wanted}. {_ADVICE}")
