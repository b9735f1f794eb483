"""The answers of a finished run with all that was said of them, read back from its files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from puretune.errors import InputError
from puretune.files import parse_json
from puretune.study.matrix.matrix import Matrix
from puretune.study.matrix.run_directory import sound_file
from puretune.visible import visible

ANSWERS, VERDICTS, PROMPTS = "answers.jsonl", "verdicts.jsonl", "prompts.jsonl"


@dataclass(frozen=True)
class AnswerRow:
    """One answer: where it is in the matrix, what was asked, what came back, every scorer's verdict."""

    condition: str
    seed: int | None
    step: int | None
    test_template: str
    suite: str
    prompt_id: str
    sample: int
    query: str
    reference: str | None
    answer: str
    finish: str
    category: str | None = None
    verdicts: tuple[Mapping[str, Any], ...] = ()
    """As they are in ``verdicts.jsonl``: ``scorer``, ``values``, ``behaviour``, ``parse``, ``raw``."""


@dataclass(frozen=True)
class Answers:
    """All answers of a matrix, and the prompts as they were rendered."""

    rows: list[AnswerRow]
    rendered: Mapping[tuple[str, str, str], str] = field(default_factory=dict)
    """By suite, test template and prompt; empty for runs of earlier versions."""
    whole: bool = True
    """False: these are a few samples, for the run's directory is not known."""


def answers_of(matrix: Matrix) -> Answers:
    """Every answer of the matrix's run; its samples where no run directory is known.

    InputError where a file of the run is not as a run writes it, CheckFailed if it was changed since.
    """
    if matrix.run is None:
        return Answers([_sample(one) for one in matrix.transcripts], whole=False)
    prompts = {_prompt(row): row for row in _rows(matrix.run, PROMPTS)}
    verdicts: dict[tuple[object, ...], list[Mapping[str, Any]]] = {}
    for row in _rows(matrix.run, VERDICTS):
        verdicts.setdefault(_key(row), []).append(row)
    rows = [_answer(row, verdicts.get(_key(row), []), prompts) for row in _rows(matrix.run, ANSWERS)]
    return Answers(rows, {key: str(row["text"]) for key, row in prompts.items()})


def _answer(
    row: Mapping[str, Any],
    verdicts: list[Mapping[str, Any]],
    prompts: Mapping[tuple[str, str, str], Mapping[str, Any]],
) -> AnswerRow:
    known = prompts.get(_prompt(row)) or next(iter(verdicts), {})
    return AnswerRow(
        condition=row["condition"],
        seed=row["seed"],
        step=row["step"],
        test_template=row["test_template"],
        suite=row["suite"],
        prompt_id=row["prompt_id"],
        sample=row["sample"],
        query=row["query"],
        reference=row["reference"],
        answer=row["answer"],
        finish=row["finish"],
        category=known.get("category"),
        verdicts=tuple(verdicts),
    )


def _sample(one: Any) -> AnswerRow:
    verdicts = tuple({"raw": {}, **vars(verdict)} for verdict in one.verdicts)
    return AnswerRow(
        condition=one.condition,
        seed=one.seed,
        step=None,
        test_template=one.test_template,
        suite=one.suite,
        prompt_id=one.prompt_id,
        sample=0,
        query=one.query,
        reference=None,
        answer=one.answer,
        finish=one.finish,
        verdicts=verdicts,
    )


def _prompt(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return row["suite"], row["test_template"], row["prompt_id"]


def _key(row: Mapping[str, Any]) -> tuple[object, ...]:
    names = ("condition", "seed", "step", "test_template", "suite", "prompt_id", "sample")
    return tuple(row[name] for name in names)


def _rows(run: Path, name: str) -> Iterator[dict[str, Any]]:
    """The lines of a file of the run; nothing where a run of an earlier version has no such file."""
    if name == PROMPTS and not (run / name).exists():
        return
    file = sound_file(run, name)
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                where = f"{visible(file)}:{number}"
                row = parse_json(line, where)
                if not isinstance(row, dict) or not _WANTED[name] <= row.keys():
                    raise InputError(f"{where}: not a line that a run writes. Run the study again.")
                yield row
    except OSError as error:
        raise InputError(f"{visible(file)}: cannot be read: {error.strerror or error}.") from None


_PLACE = {"suite", "test_template", "prompt_id"}
_WHO = _PLACE | {"condition", "seed", "step", "sample"}
_WANTED = {
    PROMPTS: _PLACE | {"text"},
    ANSWERS: _WHO | {"query", "reference", "answer", "finish"},
    VERDICTS: _WHO | {"scorer", "values", "behaviour", "parse", "raw"},
}
