"""Multiple choice by log-likelihood in a study: the engine is asked about the options, shard by shard.

Verdicts have the keys that other scorers' verdicts have, and are published shard by shard like these. They
are kept with the generated answers of the same shard, one per answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from puretune.events import Advanced, EventSink, Finished, Started
from puretune.inference import Engine, LikelihoodEngine
from puretune.models import LazyBase
from puretune.scoring import ChoiceLikelihood, reads_options, score_choices
from puretune.store import Store
from puretune.study.plan.shards import answers_of, shard_of, suites_of
from puretune.study.plan.steps import VERDICTS, AnswerStep, Plan, ScoreStep
from puretune.study.run.answers import adapter_of
from puretune.study.run.verdicts import verdict_row

_WORK = "choices"


def missing_choices(plan: Plan, store: Store) -> list[tuple[ScoreStep, AnswerStep]]:
    """The verdicts by log-likelihood that are missing from the store, each with the shard it is about."""
    shards = {step.key: step for step in plan.answer}
    readers = _readers(plan)
    steps = {step.key: step for step in plan.score if step.scorer in readers}
    return [(step, shards[step.answers]) for step in steps.values() if not store.has(VERDICTS, step.key)]


def choose(
    plan: Plan,
    store: Store,
    engine: Engine,
    base: LazyBase,
    missing: Sequence[tuple[ScoreStep, AnswerStep]],
    on_event: EventSink,
) -> None:
    """Ask about the options of every missing shard and publish its verdicts; its answers are in the store.

    InputError if an option does not fit into the model's context after its question.
    """
    if not missing:
        return
    suites, readers = suites_of(plan), _readers(plan)
    asked = cast(LikelihoodEngine, engine)  # planning made sure that it is one
    templates = {template.name: template for _, template in plan.resolved.cells}
    on_event(Started(_WORK, len(missing)))
    for number, (step, shard) in enumerate(missing, 1):
        examples, answers = shard_of(shard, suites), answers_of(shard, store)
        template, adapter = templates[shard.test_template], adapter_of(plan, store, shard.who)
        found = score_choices(readers[step.scorer], examples, asked, base.renderer, template, adapter)
        verdicts = {example.id: verdict for example, verdict in zip(examples, found, strict=True)}
        rows = [verdict_row(answer, verdicts[answer["prompt_id"]]) for answer in answers]
        store.put_lines(VERDICTS, step.key, rows)
        on_event(Advanced(_WORK, number, f"{shard.who.condition} -> {shard.test_template}, {shard.suite}"))
    on_event(Finished(_WORK, f"{len(missing):,} shards"))


def _readers(plan: Plan) -> dict[str, ChoiceLikelihood]:
    scorers = (scorer for suite in plan.resolved.suites for scorer in suite.scorers)
    return {scorer.name: scorer for scorer in scorers if reads_options(scorer)}
