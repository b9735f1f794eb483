"""The plan: what must be computed for a study, each step under the key of all that determines it.

    tune     (base, rows, recipe, seed, start, tuner)                      -> adapters, one per kept step
    answer   (base, adapter, test template, prompts, decoding, engine)     -> a shard of answers
    score    (answers, scorer)                                             -> a shard of verdicts

Planning is a pure function of the resolved study, so that a resume repeats exactly the same steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from importlib import metadata
from typing import Any

from puretune.data import data_digest
from puretune.models import TunedModel, quantization_key
from puretune.scoring import THOUGHTS_VERSION, Budget, shared
from puretune.store import key_of
from puretune.study.plan.conditions import Condition, Training, entry_of
from puretune.study.plan.mix import Part
from puretune.study.plan.resolve import Resolved, ResolvedSuite, resolve
from puretune.study.spec.study import Study
from puretune.templates import RENDERING_VERSION, PromptTemplate
from puretune.tuning import kept_steps

SHARD = 256
"""Prompts per shard of answers: what is published, and at most lost, at once."""

ADAPTER, ANSWERS, VERDICTS, RENDERING = "adapter", "answers", "verdicts", "rendering"
"""The kinds of objects that a study puts into its store."""

CELLS_VERSION = "6"
"""Changes whenever the same verdicts could make other cells or another ``results.json``."""


@dataclass(frozen=True)
class TuneStep:
    """One condition with one seed: an adapter per kept step."""

    key: str
    condition: str
    seed: int
    inputs: Mapping[str, Any]
    kept: tuple[int, ...]
    """Optimiser steps after which an adapter is kept; the last one ends the training."""
    start: str | None = None
    """The key of another step's adapter that training starts from."""
    round: int = 0
    """How many steps of tuning come before it."""

    def adapter_key(self, step: int) -> str:
        """The key of the adapter after an optimiser step."""
        return key_of({"tune": self.key, "step": step})


@dataclass(frozen=True)
class Who:
    """Who answers: a condition, and of a tuned one the seed and the kept step."""

    condition: str
    train_template: str | None = None
    seed: int | None = None
    step: int | None = None
    """The optimiser step of a kept adapter; None: the last."""
    adapter: str | None = None
    """The key of the adapter in the store; None: nothing was tuned here."""


@dataclass(frozen=True)
class AnswerStep:
    """One shard of answers: some prompts of one suite, under one test template."""

    key: str
    who: Who
    test_template: str
    suite: str
    first: int
    """Position in the suite of the shard's first prompt."""
    prompts: int
    inputs: Mapping[str, Any]


@dataclass(frozen=True)
class ScoreStep:
    """One scorer on one shard of answers (which several suites may have in common)."""

    key: str
    answers: str
    scorer: str
    version: str


@dataclass(frozen=True)
class DrawStep:
    """The judge that keeps to a budget, on one cell: which answers it sees is drawn when they are there."""

    key: str
    who: Who
    test_template: str
    suite: str
    answers: tuple[str, ...]
    """The cell's shards, in order."""
    scorer: str
    cheap: str | None
    """The scorer that decides; None: nothing is known of the answers before they are judged."""
    metric: str | None
    """The cheap scorer's metric that counts."""
    budget: Budget
    """The cell's part of the study's budget."""


@dataclass(frozen=True)
class Plan:
    """All steps of a study, in order. ``resolved`` holds the values they work on."""

    study: str
    key: str
    tune: tuple[TuneStep, ...]
    answer: tuple[AnswerStep, ...]
    score: tuple[ScoreStep, ...]
    resolved: Resolved = field(repr=False, compare=False)
    draw: tuple[DrawStep, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The plan as it is stored in ``plan.json``."""
        steps = {
            name: [asdict(step) for step in getattr(self, name)]
            for name in ("tune", "answer", "score", "draw")
        }
        return {"study": self.study, "key": self.key, **steps}


def plan_study(study: Study | Resolved, dry: bool = False) -> Plan:
    """The steps of a study; InputError if it is wrong. Neither torch nor transformers is imported.

    ``dry``: weights may be missing (``resolved.lacking`` says which); such a plan is for counting only.
    """
    resolved = study if isinstance(study, Resolved) else resolve(study, dry)
    tunes = _tune_steps(resolved)
    answers = tuple(_answer_steps(resolved, tunes))
    scores, draws = tuple(_score_steps(resolved, answers)), tuple(_draw_steps(resolved, answers))
    return Plan(
        study=resolved.study.name,
        key=_matrix_key(resolved, answers, [*scores, *draws]),
        tune=tuple(tunes.values()),
        answer=answers,
        score=scores,
        draw=draws,
        resolved=resolved,
    )


_Tunes = Mapping[tuple[str, int], TuneStep]


def _tune_steps(resolved: Resolved) -> dict[tuple[str, int], TuneStep]:
    tunes: dict[tuple[str, int], TuneStep] = {}
    digests = _Digests()
    for condition in resolved.conditions.values():
        if condition.training is not None:
            kept = _kept(resolved, condition, condition.training)
            rows = digests.rows(condition.training)
            for seed in resolved.seeds:
                before = tunes[condition.upstream, seed] if condition.upstream else None
                tunes[condition.name, seed] = _tune_step(resolved, condition, seed, rows, kept, before)
    return tunes


class _Digests:
    """What keys say of mixes; the digest of each part is computed once, however many conditions share it."""

    def __init__(self) -> None:
        self._known: dict[int, str] = {}

    def rows(self, training: Training) -> list[dict[str, Any]]:
        """Data and template of each part of a mix."""
        return [
            {"data": self._digest(part), "template": (part.template or training.template).fingerprint}
            for part in training.mix
        ]

    def _digest(self, part: Part) -> str:
        if id(part) not in self._known:
            self._known[id(part)] = data_digest(part.examples)
        return self._known[id(part)]


def _tune_step(
    resolved: Resolved,
    condition: Condition,
    seed: int,
    rows: list[dict[str, Any]],
    kept: tuple[int, ...],
    before: TuneStep | None,
) -> TuneStep:
    training = condition.training
    assert training is not None
    start = before.adapter_key(before.kept[-1]) if before else None
    existing = training.start.digest if isinstance(training.start, TunedModel) else None
    inputs = {
        # no library of this machine decides what a provider tunes
        **({"base": resolved.base.fingerprint} if training.tuner.remote else _base_inputs(resolved)),
        "tuner": training.tuner.identity(),
        "rows": rows,
        "recipe": training.recipe.decisive(),
        "seed": seed,
        "start": {"tuned": start, "existing": existing},
    }
    return TuneStep(
        key_of(inputs), condition.name, seed, inputs, kept, start, before.round + 1 if before else 0
    )


def _kept(resolved: Resolved, condition: Condition, training: Training) -> tuple[int, ...]:
    own = entry_of(resolved.study, condition).recipe is not None
    with resolved.study.at(*((*condition.place, "recipe") if own else ("tuning", "recipe", "keep"))):
        return kept_steps(training.recipe, training.rows)


def _answer_steps(resolved: Resolved, tunes: _Tunes) -> Iterator[AnswerStep]:
    fixed = {**_answerer_inputs(resolved), "engine": resolved.engine.identity()}
    shards = [shard for suite in resolved.suites for shard in _shards(suite, fixed)]
    for condition, template in resolved.cells:
        for who in _answerers(condition, resolved.seeds, tunes):
            yield from (_answer_step(condition, who, template, shard) for shard in shards)


def _answerers(condition: Condition, seeds: tuple[int, ...], tunes: _Tunes) -> Iterator[Who]:
    if condition.template is None:
        yield Who(condition.name)
        return
    for seed in seeds:
        tune = tunes[condition.name, seed]
        last = tune.kept[-1]
        for step in tune.kept:
            kept = None if step == last else step
            yield Who(condition.name, condition.template.name, seed, kept, tune.adapter_key(step))


@dataclass(frozen=True)
class _Shard:
    suite: str
    first: int
    size: int
    inputs: Mapping[str, Any]
    """What determines its answers whoever gives them, under whatever template."""


def _shards(suite: ResolvedSuite, fixed: Mapping[str, Any]) -> Iterator[_Shard]:
    for first in range(0, len(suite.examples), SHARD):
        examples = suite.examples[first : first + SHARD]
        inputs = {**fixed, "prompts": data_digest(examples), "decoding": asdict(suite.decoding)}
        yield _Shard(suite.name, first, len(examples), inputs)


def _answer_step(condition: Condition, who: Who, template: PromptTemplate, shard: _Shard) -> AnswerStep:
    existing = condition.existing.digest if condition.existing else None
    inputs = {
        **shard.inputs,
        "adapter": {"tuned": who.adapter, "existing": existing},
        "template": template.fingerprint,
    }
    return AnswerStep(key_of(inputs), who, template.name, shard.suite, shard.first, shard.size, inputs)


def _score_steps(resolved: Resolved, answers: tuple[AnswerStep, ...]) -> Iterator[ScoreStep]:
    scorers = {suite.name: suite.scorers for suite in resolved.suites}
    budgeted = resolved.allowance.judge.name if resolved.allowance else None
    for step in answers:
        for scorer in scorers[step.suite]:
            if scorer.name == budgeted:
                continue
            inputs = {
                "answers": step.key,
                "scorer": scorer.name,
                "version": scorer.version,
                "thoughts": THOUGHTS_VERSION,
            }
            yield ScoreStep(key_of(inputs), step.key, scorer.name, scorer.version)


def _draw_steps(resolved: Resolved, answers: tuple[AnswerStep, ...]) -> Iterator[DrawStep]:
    """One step per cell that the judge with a budget is in, each with its part of the budget."""
    allowed = resolved.allowance
    if allowed is None:
        return
    cells: dict[tuple[Who, str, str], list[AnswerStep]] = {}
    for step in answers:
        if step.suite in allowed.cheap:
            cells.setdefault((step.who, step.test_template, step.suite), []).append(step)
    sizes = [sum(shard.prompts for shard in shards) for shards in cells.values()]
    parts = shared(allowed.budget, sizes)
    for ((who, template, suite), shards), part in zip(cells.items(), parts, strict=True):
        # One draw per cell, the same whatever other cells the study has.
        place = key_of(
            {"seed": part.seed, "who": [who.condition, who.seed, who.step], "at": [template, suite]}
        )
        part, cheap = replace(part, seed=int(place[:8], 16)), allowed.cheap[suite]
        scorer, metric = (cheap[0], cheap[1].name) if cheap else (None, None)
        inputs = {
            "answers": [shard.key for shard in shards],
            "judge": [allowed.judge.name, allowed.judge.version, allowed.price()],
            "cheap": [scorer.name, scorer.version, metric] if scorer else None,
            "budget": asdict(part),
            "thoughts": THOUGHTS_VERSION,
        }
        keys, name = tuple(shard.key for shard in shards), scorer.name if scorer else None
        yield DrawStep(key_of(inputs), who, template, suite, keys, allowed.judge.name, name, metric, part)


def _matrix_key(
    resolved: Resolved, answers: tuple[AnswerStep, ...], scores: Sequence[ScoreStep | DrawStep]
) -> str:
    """The key of the finished matrix: its cells in their order, and how they are computed and shown."""
    leaks = resolved.leakage
    whos = {step.who: asdict(step.who) for step in answers}
    return key_of(
        {
            "version": [CELLS_VERSION, metadata.version("puretune")],
            "study": resolved.study.name,
            "note": resolved.study.note,
            "analysis": [resolved.study.analysis.model_dump(), [str(one) for one in resolved.contrasts]],
            "cells": [[whos[step.who], step.test_template, step.suite, step.key] for step in answers],
            "scores": [[step.key, step.scorer] for step in scores],
            **({"leakage": {name: list(one.ids) for name, one in leaks.items()}} if leaks else {}),
            "measures": [asdict(one) for suite in resolved.suites for one in suite.measures],
            "kinds": {one.name: one.kind for one, _ in resolved.cells},
        }
    )


def _answerer_inputs(resolved: Resolved) -> dict[str, Any]:
    """The properties of the base that determine an answer; of one behind an endpoint only its name is
    known."""
    if resolved.engine.takes == "messages":
        return {"base": resolved.base.fingerprint}
    quantization = quantization_key(resolved.base.spec)
    return {**_base_inputs(resolved), **({"quantization": quantization} if quantization else {})}


def _base_inputs(resolved: Resolved) -> dict[str, Any]:
    base = resolved.base
    return {
        "base": base.fingerprint,
        "markup": base.spec.markup_key,
        "rendering": RENDERING_VERSION,
        **({"revision": base.spec.revision} if base.spec.revision else {}),
        "device": base.device.partition(":")[0],  # which GPU it is changes nothing
        "dtype": base.dtype,
        "libraries": versions(),
    }


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Versions of the libraries that decide a number, read without importing them."""
    return {name: metadata.version(name) for name in ("peft", "tokenizers", "torch", "transformers")}
