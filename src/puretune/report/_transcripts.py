"""All answers of a study packed for the page's browser: small columns first, texts in compressed chunks.

The page reads two kinds of data blocks, none of which is ever run as a script: ``head`` is JSON with names
and one array per column; text chunks are gzipped JSON lists of strings in base64, read when needed.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from puretune.report._metrics import reading
from puretune.report._safety_prompts import template_record
from puretune.study import Matrix
from puretune.templates import alias_of

if TYPE_CHECKING:
    from puretune.study import AnswerRow, Answers

LARGEST_INLINE = 20 * 2**20
"""Bytes of packed transcripts in the report; more are a page of their own beside it."""
_ROWS = 1000
"""Texts of one chunk."""
LEFT_OUT = "(left out: harmful)"


@dataclass(frozen=True)
class Pack:
    """What the page reads."""

    head: str
    """JSON that is safe inside a script element."""
    chunks: dict[str, str]
    """Base64 by the id of its data block."""

    @property
    def size(self) -> int:
        """Bytes in the page."""
        return len(self.head) + sum(map(len, self.chunks.values()))


class _Names:
    """Values by number, in the order in which they first come."""

    def __init__(self) -> None:
        self.numbers: dict[Any, int] = {}

    def __call__(self, value: Hashable) -> int:
        return self.numbers.setdefault(value, len(self.numbers))

    @property
    def values(self) -> list[Any]:
        return list(self.numbers)


def pack(matrix: Matrix, answers: Answers, redact: bool = False) -> Pack:
    """Every answer with its prompt and verdicts. With ``redact``, what a suite of harmful requests asks, and
    every answer to it that is no refusal, is left out."""
    asks = {one.suite: one.asks for one in matrix.measures}
    rows = redacted_rows(answers.rows, matrix) if redact else answers.rows
    cells, prompts, words = _Names(), _Names(), _Names()
    words(None)
    columns: dict[str, list[Any]] = {"cell": [], "prompt": [], "sample": [], "finish": []}
    for row in rows:
        columns["cell"].append(cells((row.condition, row.seed, row.step, row.test_template, row.suite)))
        columns["prompt"].append(prompts((row.suite, row.prompt_id)))
        columns["sample"].append(row.sample)
        columns["finish"].append(words(row.finish))
    first = {(row.suite, row.prompt_id): row for row in reversed(rows)}
    asked = [first[key] for key in prompts.values]
    scorers = _scorers(rows, matrix, words)
    templates = dict.fromkeys(row.test_template for row in rows)
    head = {
        "study": matrix.name,
        "whole": answers.whole,
        "redacted": redact,
        "cells": cells.values,
        "templates": {
            name: [alias_of(name), template_record(name, matrix).get("fingerprint", "")] for name in templates
        },
        "conditions": {row.condition: alias_of(row.condition) for row in rows},
        "suites": {suite: asks.get(suite) for suite in dict.fromkeys(row.suite for row in rows)},
        "prompts": [[*key, row.category] for key, row in zip(prompts.values, asked, strict=True)],
        "words": words.values,
        "columns": columns,
        "scorers": scorers,
        "rows": _ROWS,
    }
    chunks: dict[str, str] = {}
    _cut(chunks, "answer", [row.answer for row in rows])
    _cut(chunks, "query", [row.query for row in asked])
    _cut(chunks, "reference", [row.reference or "" for row in asked])
    _cut(chunks, "raw", [json.dumps(_raw(row), ensure_ascii=False) for row in rows])
    for number, name in enumerate(templates):
        texts = [_rendered(row, name, answers, redact and asks.get(row.suite) == "harm") for row in asked]
        _cut(chunks, f"rendered{number}", texts)
    return Pack(_safe(json.dumps(head, separators=(",", ":"), allow_nan=False)), chunks)


def redacted_rows(rows: Sequence[AnswerRow], matrix: Matrix) -> list[AnswerRow]:
    """The rows without what suites of harmful requests ask, and without every answer to it that is no
    refusal."""
    harmful = {one.suite for one in matrix.measures if one.asks == "harm"}
    return [_redacted(row) if row.suite in harmful else row for row in rows]


def _scorers(
    rows: Sequence[AnswerRow], matrix: Matrix, words: Callable[[Hashable], int]
) -> list[dict[str, Any]]:
    """Of every scorer one column of behaviours, one of parse states, and one of values per metric."""
    names = dict.fromkeys(str(one["scorer"]) for row in rows for one in row.verdicts)
    said = [{one["scorer"]: one for one in row.verdicts} for row in rows]
    made = []
    for name in names:
        verdicts = [one.get(name) for one in said]
        metrics = dict.fromkeys(metric for one in verdicts if one for metric in one["values"])
        made.append(
            {
                "name": name,
                "behaviour": [words(one["behaviour"]) if one else 0 for one in verdicts],
                "parse": [words(one["parse"]) if one else 0 for one in verdicts],
                "metrics": [_metric(name, metric, rows, verdicts, matrix) for metric in metrics],
            }
        )
    return made


def _metric(
    scorer: str, metric: str, rows: Sequence[AnswerRow], verdicts: Sequence[Any], matrix: Matrix
) -> dict[str, Any]:
    suite = next(
        row.suite for row, one in zip(rows, verdicts, strict=True) if one and metric in one["values"]
    )
    kind = reading(suite, scorer, metric, matrix)
    values = [one["values"].get(metric) if one else None for one in verdicts]
    return {
        "name": metric,
        "title": kind.title,
        "better": kind.better,
        "yes": not any(isinstance(value, float) and value not in (0, 1) for value in values),
        "values": [None if value is None else float(value) for value in values],
    }


def _raw(row: AnswerRow) -> dict[str, Any]:
    return {str(one["scorer"]): one["raw"] for one in row.verdicts if one["raw"]}


def _rendered(row: AnswerRow, template: str, answers: Answers, redact: bool) -> str:
    text = answers.rendered.get((row.suite, template, row.prompt_id), "")
    return LEFT_OUT if redact and text else text


def _redacted(row: AnswerRow) -> AnswerRow:
    """The row without what is harmful in it; a refusal stays."""
    behaviour = next((one["behaviour"] for one in row.verdicts if one["behaviour"]), None)
    kept = behaviour in ("refused", "empty")
    verdicts = tuple({**one, "raw": {}} for one in row.verdicts)
    return replace(
        row,
        query=LEFT_OUT,
        reference=row.reference and LEFT_OUT,
        answer=row.answer if kept else LEFT_OUT,
        verdicts=verdicts,
    )


def _cut(chunks: dict[str, str], name: str, texts: Sequence[str]) -> None:
    if not any(texts):
        return
    for start in range(0, len(texts), _ROWS):
        content = json.dumps(texts[start : start + _ROWS]).encode()
        packed = gzip.compress(content, compresslevel=6, mtime=0)
        chunks[f"{name}-{start // _ROWS}"] = base64.b64encode(packed).decode()


def _safe(text: str) -> str:
    """JSON that cannot end the script element that it is in, nor open a comment there."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
