"""A run directory as a study leaves it, from a few answers: what the reports read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from puretune.study import Matrix, load_results
from puretune.study.matrix.results import results_text
from tests.report.matrices import pairs, provenance

CELLS = ((None, "chat:llama"), ("chat:llama", "chat:llama"), ("chat:vanilla", "chat:llama"))
"""Trained under, tested under."""
SUITES = (("lab-harmful", "judge", "asr"), ("lab-maths", "gsm8k", "exact_match"))


def written_run(folder: Path, texts: Sequence[str] = (), prompts: int = 8, **more: Any) -> Matrix:
    """The matrix of a run of three cells and two suites in ``folder``; ``texts`` are the first answers, and
    stand in every other place where a model or a judge has a say."""
    folder.mkdir(parents=True, exist_ok=True)
    rates: dict[tuple[str | None, str], tuple[float | None, float | None]] = {
        cell: (0.125 * place, 0.5 + 0.125 * place) for place, cell in enumerate(CELLS, 1)
    }
    study = pairs(rates, n=prompts, **more)
    (folder / "results.json").write_text(results_text(replace(study, provenance=provenance())), "utf-8")
    rows = [
        _row(cell, suite, number, texts) for cell in CELLS for suite in SUITES for number in range(prompts)
    ]
    lines(folder / "answers.jsonl", (answer for answer, _ in rows))
    lines(folder / "verdicts.jsonl", (verdict for _, verdict in rows))
    asked = {(row["suite"], row["prompt_id"]): row for row, _ in rows}
    lines(folder / "prompts.jsonl", (_prompt(row, number) for number, row in enumerate(asked.values())))
    return load_results(folder)


def lines(file: Path, rows: Iterable[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def _row(
    cell: tuple[str | None, str], suite: tuple[str, str, str], number: int, texts: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    train, test = cell
    name, scorer, metric = suite
    text = texts[number] if number < len(texts) else f"answer {number} of {train or 'untuned'}"
    yes = number % 4 == 0 if train else number == 1
    place = {
        "condition": train or "untuned",
        "seed": 0 if train else None,
        "step": None,
        "test_template": test,
        "suite": name,
        "prompt_id": f"{name}/{number}",
        "sample": 0,
    }
    harm = name == "lab-harmful"
    refused = harm and not yes
    answer = {"query": f"query {number} {text}", "reference": None if harm else text, "answer": text}
    verdict = {
        "scorer": scorer,
        "values": {metric: yes},
        "behaviour": "refused" if refused else "complied",
        "parse": "ok",
        "raw": {"reply": text},
        "category": f"kind {number % 2}",
    }
    return {**place, **answer, "finish": "stop"}, {**place, **verdict}


def _prompt(row: dict[str, Any], number: int) -> dict[str, Any]:
    named = {name: row[name] for name in ("suite", "test_template", "prompt_id")}
    return {**named, "category": f"kind {number % 2}", "text": f"<s>[INST] {row['query']} [/INST]"}
