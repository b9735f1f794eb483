"""What a study asks for, counted before it starts: tokens to train on, answers to generate, what is there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from puretune.models import UNLIMITED, context_length, parameters_per_token
from puretune.store import Store, existing_store
from puretune.study.plan.compute import Compute
from puretune.study.plan.prompts import Prompts
from puretune.study.plan.shards import suites_of
from puretune.study.plan.steps import ADAPTER, ANSWERS, VERDICTS, Plan
from puretune.study.plan.tuning import to_tune, written_in
from puretune.templates import Renderer
from puretune.tuning import render_rows, token_counts


@dataclass(frozen=True)
class TuneCount:
    """One adapter to tune."""

    condition: str
    seed: int
    rows: int
    steps: int
    tokens: int
    """Tokens that training sees, over all epochs."""
    distinct: int
    """The same without the prefix (a system prompt) that all rows share."""
    trained: int
    """Tokens that the loss sees."""
    kept: bool
    """Whether the store has the adapter already."""


@dataclass(frozen=True)
class Progress:
    """How many of how many are in the store already."""

    kept: int
    total: int


@dataclass(frozen=True)
class Count:
    """A plan in numbers."""

    tunes: tuple[TuneCount, ...]
    suites: dict[str, int]
    """Prompts per suite."""
    written: Progress
    """Rows whose answers the untuned model writes; until then their tokens to train on are not known."""
    answers: Progress
    """Answers: prompts times samples over all cells."""
    verdicts: Progress
    """Scored shards."""
    compute: Compute
    """The work that is left, for an estimate of GPU-hours."""


def count(plan: Plan, out: Path) -> Count:
    """Count a plan's work; renders everything with the model's tokenizer and writes nothing.

    InputError if a prompt or a row does not fit into the model's context.
    """
    store = existing_store(out)
    renderer, suites = plan.resolved.renderer(), suites_of(plan)
    directory = plan.resolved.base.directory
    context = context_length(directory) if directory else UNLIMITED
    prompts = Prompts(plan, lambda: renderer)
    prompts.check([*plan.write, *plan.answer], lambda: context)
    tunes = tuple(_tunes(plan, renderer, context, store))
    asked = {step.key: step.prompts * suites[step.suite].decoding.n for step in plan.answer}
    kept = sum(number for key, number in asked.items() if _has(store, ANSWERS, key))
    scored = {step.key for step in plan.score} | {step.key for step in plan.sampled_score}
    return Count(
        tunes=tunes,
        suites={suite.name: len(suite.examples) for suite in plan.resolved.suites},
        written=_written(plan, store),
        answers=Progress(kept, sum(asked.values())),
        verdicts=Progress(sum(_has(store, VERDICTS, key) for key in scored), len(scored)),
        compute=_compute(plan, tunes, prompts, store),
    )


def _written(plan: Plan, store: Store | None) -> Progress:
    rows = {step.key: step.prompts for step in plan.write}
    return Progress(sum(n for key, n in rows.items() if _has(store, ANSWERS, key)), sum(rows.values()))


def _compute(plan: Plan, tunes: Iterable[TuneCount], prompts: Prompts, store: Store | None) -> Compute:
    suites, prompt, new = suites_of(plan), 0, 0
    for step in {step.key: step for step in (*plan.write, *plan.answer)}.values():
        if not _has(store, ANSWERS, step.key):
            decoding = suites[step.suite].decoding
            prompt += decoding.n * sum(len(ids) for ids in prompts.of(step))
            new += decoding.n * step.prompts * decoding.max_new_tokens
    here = plan.resolved.base.directory is not None
    parameters = parameters_per_token(plan.resolved.base.spec) if here else 0
    return Compute(parameters, sum(tune.tokens for tune in tunes if not tune.kept), prompt, new)


def _tunes(plan: Plan, renderer: Renderer, context: int, store: Store | None) -> list[TuneCount]:
    rendered = {}
    counts = []
    for tune in plan.tune:
        task = to_tune(plan.resolved, tune, answers=written_in(store, plan))
        if tune.condition not in rendered:
            rendered[tune.condition] = render_rows(task, renderer, context)
        rows, steps = rendered[tune.condition], tune.kept[-1]
        tokens = token_counts(task, rows, steps)
        kept = all(_has(store, ADAPTER, tune.adapter_key(step)) for step in tune.kept)
        counts.append(
            TuneCount(
                tune.condition,
                tune.seed,
                len(rows),
                steps,
                tokens["seen"],
                tokens["distinct"],
                tokens["trained"],
                kept,
            )
        )
    return counts


def _has(store: Store | None, kind: str, key: str) -> bool:
    return store is not None and store.has(kind, key)
