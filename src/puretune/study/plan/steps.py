"""The steps of a plan: frozen values, each with the key of all that determines it and the keys it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from puretune.models import TunedModel
from puretune.scoring import Budget
from puretune.store import key_of
from puretune.study.plan.resolve import Resolved

ADAPTER, ANSWERS, VERDICTS, RENDERING = "adapter", "answers", "verdicts", "rendering"
"""The kinds of objects that a study puts into its store."""

KINDS = ("write", "tune", "transform", "answer", "score", "sampled_score", "cell")
"""The kinds of steps, in the order of their work."""

PLAN_VERSION = 2
"""Of ``plan.json``; a run directory whose plan has another is not resumed."""


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
    written: tuple[str, ...] = ()
    """The keys of answers that the untuned model writes to some of its rows."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Keys of what must be in the store before."""
        return (*((self.start,) if self.start else ()), *self.written)

    def adapter_key(self, step: int) -> str:
        """The key of the adapter after an optimiser step."""
        return key_of({"tune": self.key, "step": step})


@dataclass(frozen=True)
class TransformStep:
    """The transforms of one condition on one of its adapters; its key is that of the adapter that results."""

    key: str
    condition: str
    seed: int | None
    step: int | None
    """The optimiser step of a kept adapter; None: the last, or nothing was tuned here."""
    sources: tuple[str | TunedModel, ...]
    """The adapter, and the others that its transforms take in turn: keys, or adapters that existed before."""
    inputs: Mapping[str, Any]

    @property
    def needs(self) -> tuple[str, ...]:
        """Keys of what must be in the store before."""
        return tuple(one for one in self.sources if isinstance(one, str))


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

    @property
    def needs(self) -> tuple[str, ...]:
        """Keys of what must be in the store before."""
        return (self.who.adapter,) if self.who.adapter else ()


@dataclass(frozen=True)
class ScoreStep:
    """One scorer on one shard of answers (which several suites may have in common)."""

    key: str
    answers: str
    scorer: str
    version: str

    @property
    def needs(self) -> tuple[str, ...]:
        """Keys of what must be in the store before."""
        return (self.answers,)


@dataclass(frozen=True)
class SampledScoreStep:
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

    @property
    def needs(self) -> tuple[str, ...]:
        """Keys of what must be in the store before."""
        return self.answers


@dataclass(frozen=True)
class CellStep:
    """One scorer on all answers of one suite by one model under one test template: a cell per metric."""

    key: str
    who: Who
    test_template: str
    suite: str
    scorer: str
    answers: tuple[str, ...]
    """The shards of answers, in order."""
    verdicts: tuple[str, ...]
    """The scorer's verdicts on them: shard by shard, or on a sample of all."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Keys of what must be in the store before."""
        return (*self.answers, *self.verdicts)


@dataclass(frozen=True)
class Plan:
    """All steps of a study, in order. ``resolved`` holds the values they work on."""

    study: str
    key: str
    tune: tuple[TuneStep, ...]
    """Each training once, whatever conditions share it."""
    answer: tuple[AnswerStep, ...]
    score: tuple[ScoreStep, ...]
    resolved: Resolved = field(repr=False, compare=False)
    sampled_score: tuple[SampledScoreStep, ...] = ()
    transform: tuple[TransformStep, ...] = ()
    """Each after those whose adapters it takes."""
    cell: tuple[CellStep, ...] = ()
    write: tuple[AnswerStep, ...] = ()
    """The untuned model's answers to rows that are then tuned on; ``suite`` is the name of the rows."""

    @property
    def sizes(self) -> dict[str, int]:
        """How many steps of each kind there are; those of one key are one."""
        return {kind: len({step.key for step in getattr(self, kind)}) for kind in KINDS}

    @property
    def adapters(self) -> list[str]:
        """The keys of all adapters that the plan makes."""
        tuned = [tune.adapter_key(step) for tune in self.tune for step in tune.kept]
        return [*tuned, *(step.key for step in self.transform)]

    def to_json(self) -> dict[str, Any]:
        """The plan as it is stored in ``plan.json``: every step by its kind, with the keys that it needs."""
        graph = {kind: [_row(step) for step in getattr(self, kind)] for kind in KINDS}
        made = {"controls": [one.facts() for one in self.resolved.controls]} if self.resolved.controls else {}
        return {"schema_version": PLAN_VERSION, "study": self.study, "key": self.key, **made, **graph}


def _row(step: Any) -> dict[str, Any]:
    row = {name: value for name, value in asdict(step).items() if name not in ("sources", "answers")}
    return {**row, "needs": list(step.needs)}
