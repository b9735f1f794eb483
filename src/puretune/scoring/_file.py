r"""Scoring anybody's file of answers: one verdict a line, in the file's order.

in   {"query": "How many clips?", "reference": "48+24 = 72\n#### 72", "answer": "72 in all.\n#### 72"}
out  {"line": 1, "scorer": "gsm8k", "version": "1", "parse": "ok", "behaviour": null, "strict": true,
      "flexible": true, "extracted": {"strict": "72", "flexible": "72", "reference": "72"}}
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from puretune.data import Example, plain_text, question, read_rows
from puretune.errors import InputError
from puretune.files import kind_of
from puretune.inference import Answer, Finish
from puretune.names import listed
from puretune.scoring._errors import score_answers
from puretune.scoring._thoughts import shown
from puretune.scoring._types import Scorer, Verdict, metric_names
from puretune.store import write_text
from puretune.thoughts import split
from puretune.visible import one_line, visible

_QUERY = ("query", "prompt", "question")
_OWN = ("id", "prompt_id", "sample")
"""What a line may be called; its verdict is called the same."""
_SHORT = {"exact_match": "strict", "exact_match_flexible": "flexible"}
"""The names under which a file's verdicts show these metrics."""


@dataclass(frozen=True)
class FileScore:
    """What a file's answers came to."""

    verdicts: tuple[Verdict, ...]
    """In the file's order."""
    successes: Mapping[str, float]
    """Per metric, the sum of its values over all answers (an unparsed one counts as none)."""
    unparsed: int
    thoughts: Mapping[str, int]
    """How many answers had thoughts that were ``cut``, and how many never ended them (``unclosed``)."""
    prompts: tuple[str, ...] = ()
    """Which prompt each answer is to: answers with one ``prompt_id``, or one query, are samples of it."""


def score_file(path: Path, scorer: Scorer, out: Path) -> FileScore:
    """Score the answers in ``path`` (JSON lines) and write the verdicts to ``out``, all or nothing.

    A line has ``answer`` (null is an empty answer; a model's thoughts before it are not scored) and, as the
    scorer needs them, ``reference``, ``query`` (or ``prompt``, ``question``) and ``metadata``. InputError
    names file and line; EnvironmentFault if ``out`` cannot be written.
    """
    items, names = read_answers(path)
    verdicts = tuple(score_answers(scorer, items))
    lines = [
        verdict_line(n, name, scorer, v) for n, (name, v) in enumerate(zip(names, verdicts, strict=True), 1)
    ]
    write_text(out, "".join(f"{line}\n" for line in lines))
    values = {m: sum(float(v.values.get(m) or 0) for v in verdicts) for m in metric_names(scorer)}
    unparsed = sum(v.parse == "unparsed" for v in verdicts)
    return FileScore(verdicts, values, unparsed, thoughts_of(names), _prompts(items, names))


def thoughts_of(names: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """The answers whose thoughts were cut or never ended, counted."""
    return dict(Counter(str(name["thoughts"]) for name in names if "thoughts" in name))


def _prompts(items: Sequence[tuple[Example, Answer]], names: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The prompt of each answer: its ``prompt_id``, else its query, else itself."""
    return tuple(
        f"id {name['prompt_id']}"
        if "prompt_id" in name
        else f"query {example.query}"
        if example.query
        else key
        for key, name, (example, _) in zip(map(str, range(len(items))), names, items, strict=True)
    )


def answers_in(path: Path) -> list[tuple[Example, Answer]]:
    """The answers in a file, each with its query. InputError names file and line."""
    return read_answers(path)[0]


def read_answers(path: Path) -> tuple[list[tuple[Example, Answer]], list[dict[str, Any]]]:
    """The answers of a file, and what their lines are called. InputError names file and line."""
    if path.suffix.lower() not in (".jsonl", ".ndjson"):
        raise InputError(f"{visible(path)}: answers are read from JSON lines; give a .jsonl file.")
    rows = list(read_rows(path))
    if not rows:
        raise InputError(f"{visible(path)}: no answers in it.")
    seen: dict[str, str] = {}
    for row in rows:
        id = row.fields.get("id")
        if id is not None and seen.setdefault(repr(id), row.where) != row.where:
            said = one_line(repr(id), 60)
            raise InputError(f"{row.where}: {seen[repr(id)]} has the id {said} too. Ids must differ.")
    items = [(_example(row.fields, row.where), _answer(row.fields, row.where)) for row in rows]
    names = [_named(row.fields, answer) for row, (_, answer) in zip(rows, items, strict=True)]
    return shown(items), names


def _named(fields: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
    """What a line is called, and whether thoughts come before what is scored of it."""
    state = split(answer.text).state
    named = {name: fields[name] for name in _OWN if name in fields}
    return named if state == "none" else {**named, "thoughts": state}


def _example(fields: Mapping[str, Any], where: str) -> Example:
    """The line as an example; its id is its place, so that a scorer's errors name it."""
    name = next((name for name in _QUERY if name in fields), None)
    query = plain_text(fields[name], f"{where}: {name!r}") if name else ""
    reference = fields.get("reference")
    if isinstance(reference, int | float) and not isinstance(reference, bool):
        reference = str(reference)
    if reference is not None and not isinstance(reference, str):
        raise InputError(f"{where}: 'reference' is {kind_of(reference)}; it must be text or a number.")
    metadata = fields.get("metadata") or {}
    if not isinstance(metadata, Mapping):
        raise InputError(f"{where}: 'metadata' is {kind_of(metadata)}; it must be an object.")
    return question(where, query, reference, metadata=dict(metadata))


def _answer(fields: Mapping[str, Any], where: str) -> Answer:
    if "answer" not in fields:
        raise InputError(f"{where}: no 'answer'. The line has: {listed(fields) or 'nothing'}.")
    text = fields["answer"]
    if text is not None and not isinstance(text, str):
        raise InputError(f"{where}: 'answer' is {kind_of(text)}; it must be text, or null for no answer.")
    return Answer(key=where, sample=0, text=text or "", token_ids=(), finish=_finish(fields, where))


def _finish(fields: Mapping[str, Any], where: str) -> Finish:
    """How a line says that its answer ended, as a study's answers do; without that it stopped by itself."""
    finish = fields.get("finish") or "stop"
    known: tuple[Finish, ...] = get_args(Finish)
    for one in known:
        if finish == one:
            return one
    raise InputError(f"{where}: 'finish' is {kind_of(finish)}. Write one of {', '.join(known)}.")


def verdict_line(number: int, name: Mapping[str, Any], scorer: Scorer, verdict: Verdict) -> str:
    """A verdict as a file's line; ``name`` is what the answer's line is called."""
    values = {_SHORT.get(name, name): value for name, value in verdict.values.items()}
    line = {
        "line": number,
        **name,
        "scorer": verdict.scorer,
        "version": scorer.version,
        "parse": verdict.parse,
        "behaviour": verdict.behaviour,
        **values,
        "measures": {_SHORT.get(one.name, one.name): one.measures for one in scorer.metrics},
        **({"score": verdict.raw["score"]} if "score" in verdict.raw else {}),
        "extracted": dict(verdict.raw),
    }
    return json.dumps(line)
