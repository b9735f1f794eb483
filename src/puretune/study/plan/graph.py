"""Planning: from a resolved study to the graph of its steps, each under the key of all that determines it.

    write      (base, template, prompts of rows, decoding, engine)         -> answers of the untuned model
    tune       (base, rows, recipe, seed, start, tuner)                    -> adapters, one per kept step
    transform  (adapter, other adapters, transforms)                       -> an adapter
    answer     (base, adapter, test template, prompts, decoding, engine)   -> a shard of answers
    score      (answers, scorer)                                           -> a shard of verdicts
    sampled score  (answers of a cell, judge, its part of the budget)      -> verdicts on a sample of them
    cell       (answers and verdicts of all its shards)                    -> a cell of the matrix

Planning is a pure function of the resolved study, so that a resume repeats exactly the same steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from typing import Any

from puretune.data import data_digest
from puretune.models import TunedModel
from puretune.scoring import THOUGHTS_VERSION, shared
from puretune.store import key_of
from puretune.study.plan.asking import Writes, answer_step, base_inputs, shards_of, write_steps
from puretune.study.plan.conditions import Condition, Training, entry_of
from puretune.study.plan.mix import Part
from puretune.study.plan.resolve import Resolved, resolve
from puretune.study.plan.steps import (
    AnswerStep,
    CellStep,
    Plan,
    SampledScoreStep,
    ScoreStep,
    TransformStep,
    TuneStep,
    Who,
)
from puretune.study.spec.study import Study
from puretune.tuning import kept_steps

CELLS_VERSION = "7"
"""Changes whenever the same verdicts could make other cells or another ``results.json``."""


def plan_study(study: Study | Resolved, dry: bool = False) -> Plan:
    """The steps of a study; InputError if it is wrong. Neither torch nor transformers is imported.

    ``dry``: weights may be missing (``resolved.lacking`` says which); such a plan is for counting only.
    """
    resolved = study if isinstance(study, Resolved) else resolve(study, dry)
    writes = write_steps(resolved)
    tunes = _tune_steps(resolved, writes)
    made = _Adapters(tunes, _transform_steps(resolved, tunes))
    answers = tuple(_answer_steps(resolved, made))
    scores, sampled = tuple(_score_steps(resolved, answers)), tuple(_sampled_score_steps(resolved, answers))
    cells = tuple(_cell_steps(resolved, answers, scores, sampled))
    return Plan(
        study=resolved.study.name,
        key=_matrix_key(resolved, cells),
        write=tuple(step for steps in writes.values() for step in steps),
        tune=_each_once(tunes.values()),
        transform=tuple({step.key: step for step in made.transforms.values()}.values()),
        answer=answers,
        score=scores,
        sampled_score=sampled,
        cell=cells,
        resolved=resolved,
    )


_Tunes = Mapping[tuple[str, int], TuneStep]
_Transforms = dict[tuple[str, int | None, int | None], TransformStep]
"""By condition, seed and optimiser step (None: the last)."""


@dataclass(frozen=True)
class _Adapters:
    """The adapters that a plan makes."""

    tunes: _Tunes
    transforms: _Transforms

    def of(self, condition: Condition, seed: int | None, step: int | None = None) -> str | TunedModel | None:
        """Its adapter with a seed after an optimiser step (None: the last): a key, or one that existed."""
        if condition.training is None:
            seed = None
        transformed = self.transforms.get((condition.name, seed, step))
        if transformed is not None:
            return transformed.key
        if seed is None:
            return condition.existing
        tune = self.tunes[condition.name, seed]
        return tune.adapter_key(tune.kept[-1] if step is None else step)


def _each_once(tunes: Iterable[TuneStep]) -> tuple[TuneStep, ...]:
    """Conditions with the same training share it; it keeps the steps of all of them."""
    once: dict[str, TuneStep] = {}
    for tune in tunes:
        kept = once[tune.key].kept if tune.key in once else ()
        once[tune.key] = replace(once.get(tune.key, tune), kept=tuple(sorted({*kept, *tune.kept})))
    return tuple(once.values())


def _tune_steps(resolved: Resolved, writes: Writes) -> dict[tuple[str, int], TuneStep]:
    tunes: dict[tuple[str, int], TuneStep] = {}
    digests = _Digests(writes)
    for condition in resolved.conditions.values():
        if condition.training is not None:
            kept = _kept(resolved, condition, condition.training)
            rows = digests.rows(condition.training)
            written = tuple(key for part in condition.training.mix for key in digests.written(part))
            for seed in resolved.seeds:
                before = tunes[condition.upstream, seed] if condition.upstream else None
                tunes[condition.name, seed] = _tune_step(
                    resolved, condition, seed, rows, kept, before, written
                )
    return tunes


def _transform_steps(resolved: Resolved, tunes: _Tunes) -> _Transforms:
    made = _Adapters(tunes, {})
    for condition in resolved.conditions.values():  # each after those that it needs
        if condition.transforms:
            for seed, step in _kept_by(condition, resolved.seeds, tunes):
                others = (
                    made.of(resolved.conditions[other], seed) if isinstance(other, str) else other
                    for other in condition.others
                )
                sources = tuple(one for one in (made.of(condition, seed, step), *others) if one is not None)
                key = condition.name, seed, step
                made.transforms[key] = _transform_step(resolved, condition, seed, step, sources)
    return made.transforms


def _transform_step(
    resolved: Resolved,
    condition: Condition,
    seed: int | None,
    step: int | None,
    sources: tuple[str | TunedModel, ...],
) -> TransformStep:
    inputs = {
        "base": resolved.base.fingerprint,
        "adapters": [one if isinstance(one, str) else {"existing": one.digest} for one in sources],
        "transforms": [transform.identity() for transform in condition.transforms],
    }
    return TransformStep(key_of(inputs), condition.name, seed, step, sources, inputs)


def _kept_by(
    condition: Condition, seeds: tuple[int, ...], tunes: _Tunes
) -> Iterator[tuple[int | None, int | None]]:
    """Seed and optimiser step (None: the last) of all adapters of a condition."""
    if condition.training is None:
        yield None, None
        return
    for seed in seeds:
        kept = tunes[condition.name, seed].kept
        yield from ((seed, None if step == kept[-1] else step) for step in kept)


class _Digests:
    """What keys say of mixes; the digest of each part is computed once, however many conditions share it."""

    def __init__(self, writes: Writes) -> None:
        self._writes = writes
        self._known: dict[int, str] = {}

    def rows(self, training: Training) -> list[dict[str, Any]]:
        """Data and template of each part of a mix."""
        return [
            {
                "data": self._digest(part),
                "template": (part.template or training.template).fingerprint,
                **({"loss": part.loss.identity()} if part.loss else {}),
                **({"written": self.written(part)} if part.written else {}),
            }
            for part in training.mix
        ]

    def written(self, part: Part) -> list[str]:
        """The keys of the answers that the untuned model writes to a part's rows."""
        return [step.key for step in self._writes[part.written.name]] if part.written else []

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
    written: tuple[str, ...],
) -> TuneStep:
    training = condition.training
    assert training is not None
    start = before.adapter_key(before.kept[-1]) if before else None
    existing = training.start.digest if isinstance(training.start, TunedModel) else None
    inputs = {
        # no library of this machine decides what a provider tunes
        **({"base": resolved.base.fingerprint} if training.tuner.remote else base_inputs(resolved)),
        "tuner": training.tuner.identity(),
        "rows": rows,
        "recipe": training.recipe.decisive(),
        "seed": seed,
        "start": {"tuned": start, "existing": existing},
    }
    round = before.round + 1 if before else 0
    return TuneStep(key_of(inputs), condition.name, seed, inputs, kept, start, round, written)


def _kept(resolved: Resolved, condition: Condition, training: Training) -> tuple[int, ...]:
    own = entry_of(resolved.study, condition).recipe is not None
    with resolved.study.at(*((*condition.place, "recipe") if own else ("tuning", "recipe", "keep"))):
        return kept_steps(training.recipe, training.rows)


def _answer_steps(resolved: Resolved, made: _Adapters) -> Iterator[AnswerStep]:
    shards = [shard for suite in resolved.suites for shard in shards_of(suite, resolved)]
    for condition, template in resolved.cells:
        for who in _answerers(condition, resolved.seeds, made):
            yield from (answer_step(condition, who, template, shard) for shard in shards)


def _answerers(condition: Condition, seeds: tuple[int, ...], made: _Adapters) -> Iterator[Who]:
    template = condition.template.name if condition.template else None
    for seed, step in _kept_by(condition, seeds, made.tunes):
        adapter = made.of(condition, seed, step)
        yield Who(condition.name, template, seed, step, adapter if isinstance(adapter, str) else None)


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


def _sampled_score_steps(resolved: Resolved, answers: tuple[AnswerStep, ...]) -> Iterator[SampledScoreStep]:
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
        yield SampledScoreStep(
            key_of(inputs), who, template, suite, keys, allowed.judge.name, name, metric, part
        )


def _cell_steps(
    resolved: Resolved,
    answers: Sequence[AnswerStep],
    scores: Sequence[ScoreStep],
    sampled: Sequence[SampledScoreStep],
) -> Iterator[CellStep]:
    scorers = {suite.name: suite.scorers for suite in resolved.suites}
    of_shard = {(step.answers, step.scorer): step.key for step in scores}
    of_cell = {(step.who, step.test_template, step.suite, step.scorer): step.key for step in sampled}
    shards: dict[tuple[Who, str, str], list[str]] = {}
    for step in answers:
        shards.setdefault((step.who, step.test_template, step.suite), []).append(step.key)
    for place, keys in shards.items():
        for scorer in scorers[place[2]]:
            whole = of_cell.get((*place, scorer.name))
            verdicts = (whole,) if whole else tuple(of_shard[key, scorer.name] for key in keys)
            inputs = {"version": CELLS_VERSION, "answers": keys, "verdicts": verdicts}
            yield CellStep(key_of(inputs), *place, scorer.name, tuple(keys), verdicts)


def _matrix_key(resolved: Resolved, cells: Sequence[CellStep]) -> str:
    """The key of the finished matrix: its cells in their order, and how they are computed and shown."""
    leaks = resolved.leakage
    whos = {step.who: asdict(step.who) for step in cells}
    return key_of(
        {
            "version": [CELLS_VERSION, metadata.version("puretune")],
            "study": resolved.study.name,
            "note": resolved.study.note,
            "analysis": [resolved.study.analysis.model_dump(), [str(one) for one in resolved.contrasts]],
            "cells": [[whos[one.who], one.test_template, one.suite, one.scorer, one.key] for one in cells],
            **({"leakage": {name: list(one.ids) for name, one in leaks.items()}} if leaks else {}),
            "measures": [asdict(one) for suite in resolved.suites for one in suite.measures],
            "kinds": {one.name: one.kind for one, _ in resolved.cells},
        }
    )
