"""Stored answers scored again by today's scorers: no model answers, no judge elsewhere is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from puretune.data import Example
from puretune.errors import CheckFailed, InputError
from puretune.files import parse_json
from puretune.inference import Answer
from puretune.scoring import Judge, Scorer, reads_likelihoods, score_answers, shown
from puretune.study import Plan, Study, plan_study
from puretune.study.matrix.run_directory import sound_file
from puretune.study.matrix.verdict_file import VerdictRow, read_verdicts
from puretune.visible import visible

_Place = tuple[Any, ...]
_WHO = ("condition", "seed", "step", "test_template", "suite")


def rescored(run: Path) -> tuple[list[VerdictRow], int]:
    """The verdicts of a run by today's scorers on its stored answers, and how many of them changed.

    A judge behind an endpoint, and a scorer of likelihoods, whose answers are not text, keep their stored
    verdicts. InputError if the study's suites cannot be read; CheckFailed where answers do not fit them.
    """
    plan = plan_study(Study.load(sound_file(run, "study.yaml")), dry=True)
    stored = list(read_verdicts(sound_file(run, "verdicts.jsonl")))
    made = dict(_made(plan, sound_file(run, "answers.jsonl")))
    again = [replace(row, values=made.get(_key(row), row.values)) for row in stored]
    return again, sum(one.values != other.values for one, other in zip(stored, again, strict=True))


def _key(row: VerdictRow) -> _Place:
    return (*(getattr(row, name) for name in _WHO), row.scorer, row.prompt_id, row.sample)


def _made(plan: Plan, file: Path) -> Iterator[tuple[_Place, Mapping[str, float | None]]]:
    suites = {suite.name: suite for suite in plan.resolved.suites}
    for (*who, name), rows in _groups(file).items():
        suite = suites.get(name)
        if suite is None:
            raise CheckFailed(f"{visible(file)}: the study has no suite {name!r}. Run the study again.")
        examples = {example.id: example for example in suite.examples}
        items = shown(_item(row, examples, file) for row in rows)
        for scorer in filter(_can, suite.scorers):
            for row, verdict in zip(rows, score_answers(scorer, items), strict=True):
                place = (*who, name, scorer.name, row["prompt_id"], row["sample"])
                unparsed = verdict.parse == "unparsed"
                yield place, {k: _number(v, unparsed) for k, v in verdict.values.items()}
            scorer.release()


def _can(scorer: Scorer) -> bool:
    return not isinstance(scorer, Judge) and not reads_likelihoods(scorer)


def _number(value: float | bool | None, unparsed: bool) -> float | None:
    return None if value is None or unparsed else float(value)


def _groups(file: Path) -> dict[_Place, list[dict[str, Any]]]:
    groups: dict[_Place, list[dict[str, Any]]] = {}
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            row = parse_json(line, f"{visible(file)}:{number}")
            groups.setdefault(tuple(row.get(name) for name in _WHO), []).append(row)
    return groups


def _item(row: Mapping[str, Any], examples: Mapping[str, Example], file: Path) -> tuple[Example, Answer]:
    try:
        example = examples[row["prompt_id"]]
    except KeyError:
        said = f"{visible(file)}: prompt {row.get('prompt_id')!r} is not in its suite any more."
        raise CheckFailed(f"{said} Restore the data.") from None
    if not isinstance(row.get("answer"), str):
        raise InputError(f"{visible(file)}: an answer is not text. Run the study again.")
    return example, Answer(row["prompt_id"], row["sample"], row["answer"], (), row["finish"])
