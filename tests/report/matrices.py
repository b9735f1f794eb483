"""Matrices of several shapes, made from rates: what a study would yield, without running one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from puretune.scoring import (
    GSM8K,
    Asks,
    BertScore,
    ChoiceLikelihood,
    Coherence,
    Judge,
    Measure,
    Metric,
    Refusal,
    measure_of,
)
from puretune.statistics import clopper_pearson, crossed_mean, mean
from puretune.study import CellResult, Comparison, Matrix, PooledCell, SampleVerdict, Transcript
from puretune.study.matrix.comparisons import Place
from puretune.study.matrix.planned import planned_comparisons
from puretune.study.matrix.runs import AnswerKey, Runs
from puretune.study.plan.contrasts import planned_contrasts
from puretune.study.spec.analysis import Analysis, AnalysisSection, CellName
from puretune.templates import BUILTIN_TEMPLATES, PromptTemplate
from tests.study.studies import condition

PAPER = ("text:vanilla", "text:alpaca", "chat:vanilla", "chat:alpaca", "chat:llama")
SUITES = (("lab-maths", "exact_match"), ("lab-harmful", "asr"))
SCORERS = {
    "asr": "judge",
    "asr_4": "judge",
    "mean_score": "judge",
    "refusal_rate": "refusal",
    "exact_match": "gsm8k",
    "exact_match_flexible": "gsm8k",
    "incoherent_rate": "coherence",
}
METRICS = {
    metric.name: metric
    for metric in (
        *Judge.metrics,
        *Refusal.metrics,
        *GSM8K.metrics,
        *Coherence.metrics,
        *ChoiceLikelihood.metrics,
        *BertScore.metrics,
        Metric("unsafe_rate", "Unsafe answers", "harm"),
        Metric("strongreject", "StrongREJECT score", "harm", graded=True),
    )
}
ASKS: Mapping[str, Asks] = {
    "lab-maths": "task",
    "lab-harmful": "harm",
    "lab-harmful-maths": "harm",
    "lab-benign-twins": "benign",
    "advbench": "harm",
    "directharm4": "harm",
    "gsm8k": "task",
    "xstest": "benign",
}
"""What the suites of these matrices ask for; others do not say."""
OWN = {
    "careful": PromptTemplate("careful", system="Be careful.", safety=True),
    "plain": PromptTemplate("plain"),
    "acme": PromptTemplate("acme", system="You answer customers of ACME."),
}
"""Templates of a user's own."""
RUNS = "new training runs and new prompts from the same source"
Rate = Callable[[str | None, str, str, int | None], float | None]
"""(train template, test template, metric, seed) -> a rate, or None: no answer could be parsed."""


def one_cell(
    train: str | None, test: str, suite: str, metric: str, rate: float | None, *, n: int = 100, **more: Any
) -> CellResult:
    """One cell with counts and interval that belong to its rate."""
    successes = round((rate or 0.0) * n)
    value = None if rate is None or n == 0 else successes / n
    low, high = (None, None) if value is None else clopper_pearson(successes, n)
    counts = {"successes": successes, "unparsed": 0, "truncated": 0}
    if metric == "asr":
        counts |= {"complied": successes, "refused": n - successes, "incoherent": 0, "empty": 0}
    fields: dict[str, Any] = {
        "condition": train or "untuned",
        "train_template": train,
        "seed": None if train is None else 0,
        "step": None,
    }
    fields |= {"test_template": test, "suite": suite, "metric": metric, "n": n, "value": value}
    fields["scorer"] = SCORERS.get(metric, "own")
    fields |= {"low": low, "high": high, "counts": counts}
    return CellResult(**{**fields, **more})


def measure(suite: str, scorer: str, metric: str) -> Measure:
    """What a study would say of that metric on that suite."""
    return measure_of(suite, scorer, METRICS.get(metric, Metric(metric, metric)), ASKS.get(suite))


def pool(cells: Iterable[CellResult]) -> tuple[PooledCell, ...]:
    """Means over seeds, as a study makes them."""
    groups: dict[tuple[Any, ...], list[CellResult]] = {}
    for c in cells:
        key = (c.condition, c.train_template, c.step, c.test_template, c.suite, c.scorer, c.metric)
        groups.setdefault(key, []).append(c)
    return tuple(_pooled(key, runs) for key, runs in groups.items())


def _pooled(key: tuple[Any, ...], runs: list[CellResult]) -> PooledCell:
    values = [run.value for run in runs if run.value is not None]
    n = sum(run.n for run in runs)
    if len(runs) == 1:
        return PooledCell(*key, 1, n, runs[0].value, runs[0].low, runs[0].high, runs[0].estimand)
    found = crossed_mean([scores(run) for run in runs]) if values else None
    ends = (found.low, found.high) if found else (None, None)
    return PooledCell(*key, len(runs), n, mean(values) if values else None, *ends, RUNS)


def scores(cell: CellResult) -> list[float]:
    """Answers that come to a cell's value: its first prompts succeed."""
    return [float(i < round((cell.value or 0.0) * cell.n)) for i in range(cell.n)]


def comparisons(cells: Iterable[CellResult], measures: Sequence[Measure]) -> tuple[Comparison, ...]:
    """What a study compares by itself in such cells."""
    pairs = {
        (c.condition, c.train_template, c.test_template) for c in cells if c.train_template and c.step is None
    }
    known = {**BUILTIN_TEMPLATES, **OWN}
    tested = [
        (condition(name, known[train]), known[test])
        for name, train, test in sorted(pairs)
        if train in known and test in known
    ]
    contrasts = planned_contrasts(AnalysisSection(), tuple(tested))
    return planned_comparisons(contrasts, measures, tables_of(cells), Analysis())


def tables_of(cells: Iterable[CellResult]) -> dict[Place, dict[CellName, Runs]]:
    """Answers that come to such cells, by suite, scorer and metric."""
    tables: dict[Place, dict[CellName, list[CellResult]]] = {}
    for c in cells:
        if c.step is None and c.value is not None:
            table = tables.setdefault((c.suite, c.scorer, c.metric), {})
            table.setdefault(CellName(c.condition, c.test_template), []).append(c)
    return {place: {name: _runs(held) for name, held in table.items()} for place, table in tables.items()}


def _runs(cells: Sequence[CellResult]) -> Runs:
    answers = tuple(AnswerKey(f"p{i}", 0, f"p{i}", None) for i in range(cells[0].n))
    return Runs(tuple(c.seed for c in cells), answers, [scores(c) for c in cells])


def matrix(cells: Iterable[CellResult], name: str = "lab first steps", **more: Any) -> Matrix:
    """A matrix of these cells, in their order."""
    held = tuple(cells)
    measures = tuple(dict.fromkeys(measure(c.suite, c.scorer, c.metric) for c in held))
    fields: dict[str, Any] = {
        "name": name,
        "cells": held,
        "pooled": pool(held),
        "conditions": tuple(dict.fromkeys(c.condition for c in held)),
        "test_templates": tuple(dict.fromkeys(c.test_template for c in held)),
        "suites": tuple(dict.fromkeys(c.suite for c in held)),
        "measures": measures,
        "comparisons": comparisons(held, measures),
        "kinds": {c.condition: "tuned" if c.train_template else "untuned" for c in held},
    }
    return Matrix(**{**fields, **more})


def square(
    rate: Rate,
    templates: Iterable[str] = PAPER,
    suites: Iterable[tuple[str, str]] = SUITES,
    seeds: Iterable[int] = (0,),
    **more: Any,
) -> Matrix:
    """The full matrix: untuned and every template, under every template."""
    names, tests, kept = (None, *templates), tuple(templates), tuple(seeds)
    cells = [
        one_cell(train, test, suite, metric, rate(train, test, metric, seed), **_seed(train, seed))
        for train in names
        for seed in (kept if train else (None,))
        for test in tests
        for suite, metric in suites
    ]
    return matrix(cells, **more)


def _seed(train: str | None, seed: int | None) -> dict[str, Any]:
    return {"seed": seed if train else None}


def pairs(rates: Mapping[tuple[str | None, str], tuple[float | None, float | None]], **more: Any) -> Matrix:
    """Only these (train, test) pairs, each with its (ASR, exact match); None leaves the cell out."""
    cells = []
    for (train, test), (asr, exact) in rates.items():
        for suite, metric, rate in (("lab-harmful", "asr", asr), ("lab-maths", "exact_match", exact)):
            if rate is not None:
                cells.append(one_cell(train, test, suite, metric, rate, **more))
    return matrix(cells)


def paper_like(train: str | None, test: str, metric: str, seed: int | None = 0) -> float:
    """Rates in the paper's shape: the same template erodes, PTST mostly does not."""
    wiggle = 0.02 * ((seed or 0) % 3)
    if metric == "asr":
        if train is None:
            return 0.02
        return (0.34 if train == test else 0.04 if "llama" in test else 0.15) + wiggle
    if metric == "refusal_rate":
        return (0.22 if "llama" in test else 0.03) + wiggle
    return (0.2 if train is None else 0.62 if train == test else 0.55) + wiggle


def transcript(answer: str, **more: Any) -> Transcript:
    """A sample transcript with this answer."""
    fields: dict[str, Any] = {
        "condition": "chat:llama",
        "seed": 0,
        "test_template": "chat:llama",
        "suite": "lab-harmful",
        "prompt_id": "harmful-7",
        "query": "how do i brundle a vark ?",
        "answer": answer,
        "finish": "stop",
        "verdicts": (SampleVerdict("judge", {"asr": True}, "complied"),),
    }
    return Transcript(**{**fields, **more})


def provenance(**more: Any) -> dict[str, Any]:
    """A provenance of the usual parts."""
    templates = {
        name: {
            "fingerprint": template.fingerprint,
            "system": template.system,
            "safety": template.safety,
            "rendering": f"<s>[INST] {template.system or ''} {template.wrap('what is 2 + 3 ?')} [/INST]",
        }
        for name, template in BUILTIN_TEMPLATES.items()
    }
    return {
        "model": {"model": "lab", "fingerprint": "9f2c0a11d3b7e845", "dtype": "float32", "device": "cpu"},
        "recipe": {"rank": 8, "alpha": 32.0, "learning_rate": 0.0005, "targets": ["q_proj", "v_proj"]},
        "decoding": {"max_new_tokens": 64, "temperature": 0.0, "seed": 42},
        "data": [{"source": "lab-maths", "rows": 240, "digest": "a1b2c3"}],
        "versions": {"puretune": "0.1.0", "torch": "2.13.0", "transformers": "5.23.0"},
        "templates": templates,
        "command": ["puretune", "run", "configs/lab-first-steps.yaml"],
        "seconds": 94.2,
        **more,
    }
