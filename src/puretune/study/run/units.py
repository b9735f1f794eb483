"""Units of work: steps of the plan that belong together, what they need from the store and what they make.

Which steps share a unit (a gang, a pool) follows from the plan alone, whatever is missing and whoever works,
so that a resumed run makes the same batches, and so the same bits, as one that was not interrupted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from puretune.scoring import reads_likelihoods
from puretune.store import Store, key_of
from puretune.study.plan.steps import (
    ADAPTER,
    ANSWERS,
    VERDICTS,
    AnswerStep,
    Plan,
    SampledScoreStep,
    ScoreStep,
    TransformStep,
    TuneStep,
)

GANG = 4
"""Adapters that are tuned together at most; more share hardly any more work, and wait for each other."""

POOL = 8
"""Shards that are asked together, and at most lost together."""

Ref = tuple[str, str]
"""Kind and key of an object in the store."""


@dataclass(frozen=True)
class Unit:
    """Steps that one process takes together."""

    steps: tuple[Any, ...]
    work: ClassVar[str]
    """What it is called in events."""
    reads: ClassVar[str] = ADAPTER
    """The kind of what its steps need."""

    def needs_of(self, step: Any) -> Iterable[Ref]:
        """What a step reads."""
        return ((self.reads, key) for key in step.needs)

    def makes_of(self, step: Any) -> Iterable[Ref]:
        """What a step publishes."""
        return [(VERDICTS, step.key)]

    @property
    def needs(self) -> frozenset[Ref]:
        """What must be in the store before."""
        return frozenset(ref for step in self.steps for ref in self.needs_of(step))

    @property
    def makes(self) -> frozenset[Ref]:
        """What is in the store afterwards."""
        return frozenset(ref for step in self.steps for ref in self.makes_of(step))

    def wanted(self, step: Any, needed: set[Ref], store: Store) -> bool:
        """Whether a step has yet to be taken."""
        return not all(store.has(*ref) for ref in self.makes_of(step))


class _AdapterUnit(Unit):
    def wanted(self, step: Any, needed: set[Ref], store: Store) -> bool:
        """Nobody makes adapters for answers that are there, but what was damaged is made again."""
        missing = [ref for ref in self.makes_of(step) if not store.has(*ref)]
        return any(ref in needed or store.is_damaged(*ref) for ref in missing)


class TuneUnit(_AdapterUnit):
    """A gang: steps of one tuner that are tuned together."""

    steps: tuple[TuneStep, ...]
    work = "tune"

    def needs_of(self, step: TuneStep) -> Iterable[Ref]:
        """Rows that the untuned model has written, and perhaps an adapter."""
        return ((ANSWERS if key in step.written else ADAPTER, key) for key in step.needs)

    def makes_of(self, step: TuneStep) -> Iterable[Ref]:
        """An adapter per kept step."""
        return [(ADAPTER, step.adapter_key(kept)) for kept in step.kept]


class TransformUnit(_AdapterUnit):
    """One adapter transformed."""

    steps: tuple[TransformStep, ...]
    work = "transform"

    def makes_of(self, step: TransformStep) -> Iterable[Ref]:
        """An adapter."""
        return [(ADAPTER, step.key)]


class AnswerUnit(Unit):
    """A pool: shards of one adapter under one test template, which share their batches."""

    steps: tuple[AnswerStep, ...]
    work = "answer"

    def makes_of(self, step: AnswerStep) -> Iterable[Ref]:
        """A shard of answers."""
        return [(ANSWERS, step.key)]


class WriteUnit(_AdapterUnit, AnswerUnit):
    """A pool of rows that the untuned model answers, for tunings that are yet to be done."""

    work = "write"


@dataclass(frozen=True)
class _ShardsUnit(Unit):
    """Steps of one scorer, with the shards that they are about."""

    steps: tuple[ScoreStep, ...]
    shards: tuple[AnswerStep, ...]
    reads = ANSWERS

    @property
    def pairs(self) -> list[tuple[ScoreStep, AnswerStep]]:
        """Each step with its shard."""
        shards = {shard.key: shard for shard in self.shards}
        return [(step, shards[step.answers]) for step in self.steps]


class LikelihoodUnit(_ShardsUnit):
    """Texts whose log-likelihoods one adapter is asked for."""

    work = "likelihoods"

    def needs_of(self, step: ScoreStep) -> Iterable[Ref]:
        """The adapter too."""
        return [*super().needs_of(step), *((ADAPTER, key) for key in self.shards[0].needs)]


class ScoreUnit(_ShardsUnit):
    """All shards of one scorer: a judge is asked about all answers in one go, each different one once."""

    work = "score"


@dataclass(frozen=True)
class SampledScoreUnit(Unit):
    """All cells of the judge that keeps to a budget."""

    steps: tuple[SampledScoreStep, ...]
    scores: Mapping[tuple[str, str], str]
    """(shard, scorer) -> key of the verdicts: those of the cheap scorer decide what the judge sees."""
    work = "sampled_score"
    reads = ANSWERS

    def needs_of(self, step: SampledScoreStep) -> Iterable[Ref]:
        """The cheap verdicts too."""
        cheap = (self.scores[key, step.cheap] for key in step.answers) if step.cheap else ()
        return [*super().needs_of(step), *((VERDICTS, key) for key in cheap)]


def pending(plan: Plan, store: Store | None) -> list[Unit]:
    """The units with a step that is yet to be taken, with such steps only; each after those that it needs.

    ``store`` None: nothing has been made yet.
    """
    if store is None:
        return list(units(plan))
    left: list[Unit] = []
    needed: set[Ref] = set()
    for unit in reversed(list(units(plan))):
        steps = tuple(step for step in unit.steps if unit.wanted(step, needed, store))
        if steps:
            left.append(replace(unit, steps=steps))
            needed |= left[-1].needs
    return left[::-1]


def units(plan: Plan) -> Iterator[Unit]:
    """All work of a plan, each unit after those that it needs."""
    yield from (WriteUnit(steps) for steps in _by_pools(plan.write))
    yield from _gangs(plan)
    yield from (TransformUnit((step,)) for step in _each_once(plan.transform))
    yield from (AnswerUnit(steps) for steps in _by_pools(plan.answer))
    yield from _scores(plan)
    if plan.sampled_score:
        yield SampledScoreUnit(
            _each_once(plan.sampled_score), {(one.answers, one.scorer): one.key for one in plan.score}
        )


def _gangs(plan: Plan) -> Iterator[TuneUnit]:
    """A tuner elsewhere gets everything in one go, for one notice."""
    rounds: dict[tuple[int, str], list[TuneStep]] = {}
    for step in _each_once(plan.tune):
        tuner = plan.resolved.tuned[step.condition].tuner
        rounds.setdefault((step.round, key_of({"tuner": tuner.identity()})), []).append(step)
    for _, steps in sorted(rounds.items(), key=lambda item: item[0][0]):
        remote = plan.resolved.tuned[steps[0].condition].tuner.remote
        parts = 1 if remote else len(steps) // GANG + 1
        for part in range(parts):
            first, last = (-(-len(steps) * end // parts) for end in (part, part + 1))
            yield TuneUnit(tuple(steps[first:last]))


def _by_pools(steps: Iterable[AnswerStep]) -> Iterator[tuple[AnswerStep, ...]]:
    together: dict[Any, list[AnswerStep]] = {}
    for step in _each_once(steps):
        together.setdefault((step.who, step.test_template), []).append(step)
    for pool in together.values():
        yield from (tuple(pool[i : i + POOL]) for i in range(0, len(pool), POOL))


def _scores(plan: Plan) -> Iterator[Unit]:
    """Log-likelihoods adapter by adapter, since the engine is asked; then one unit for each other scorer."""
    scorers = {scorer.name: scorer for suite in plan.resolved.suites for scorer in suite.scorers}
    shards = {shard.key: shard for shard in plan.answer}
    found: dict[Any, list[ScoreStep]] = {}
    for step in _each_once(plan.score):
        shard = shards[step.answers]
        chosen = (shard.who, shard.test_template) if reads_likelihoods(scorers[step.scorer]) else None
        found.setdefault((chosen is None, step.scorer, chosen), []).append(step)
    for (generated, *_), steps in sorted(found.items(), key=lambda item: item[0][0]):
        kind = ScoreUnit if generated else LikelihoodUnit
        yield kind(tuple(steps), tuple(shards[step.answers] for step in steps))


def _each_once(steps: Iterable[Any]) -> tuple[Any, ...]:
    return tuple({step.key: step for step in steps}.values())
