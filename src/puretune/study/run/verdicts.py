"""Stored answers get verdicts, shard by shard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from puretune.data import Example
from puretune.errors import InputError
from puretune.events import Advanced, EventSink
from puretune.inference import Answer
from puretune.scoring import (
    BertScore,
    Judge,
    LocalJudge,
    Scorer,
    Verdict,
    agree,
    reads_likelihoods,
    score_answers,
    shown,
)
from puretune.study.plan.scorers import AbsentScorer
from puretune.study.plan.shards import answers_of, shard_of
from puretune.study.plan.steps import VERDICTS, AnswerStep, Plan
from puretune.study.run.judges import Item, items_of, reported_before
from puretune.study.run.publish import publishing
from puretune.study.run.units import ScoreUnit
from puretune.study.run.worker import Worker
from puretune.thoughts import split
from puretune.visible import quoted


def score(unit: ScoreUnit, worker: Worker, on_event: EventSink) -> None:
    """Score shards; their answers are in the store. A judge is asked about all of them first."""
    plan, store = worker.plan, worker.store
    scorer = scorer_named(unit.steps[0].scorer, plan)

    def judged(shard: AnswerStep) -> list[Item]:
        return items_of(shard_of(shard, worker.suites), answers_of(shard, store))

    if isinstance(scorer, Judge):
        scorer = scorer.attended(agree, on_event, reported_before(plan, store, scorer))
        scorer.prepare([item for _, shard in unit.pairs for item in judged(shard)])
    with publishing(store) as publish:
        for done, (step, shard) in enumerate(unit.pairs, 1):
            answers = zip(answers_of(shard, store), score_answers(scorer, judged(shard)), strict=True)
            publish(VERDICTS, step.key, [verdict_row(row, verdict) for row, verdict in answers])
            on_event(Advanced(unit.work, done))
    scorer.release()  # never two scorers' models at a time


def scorer_named(name: str, plan: Plan) -> Scorer:
    """A scorer of the plan's suites."""
    return next(one for suite in plan.resolved.suites for one in suite.scorers if one.name == name)


def check_scorers(plan: Plan, dry: bool = False) -> None:
    """InputError, before anything is generated, where a scorer cannot use an example of its suite.

    Every example is scored once with an empty answer, and with its own reference, which a scorer of right
    answers must call right; judges behind endpoints are checked elsewhere, and where a study
    is only counted (``dry``) nothing that has a model of its own is loaded.
    """
    elsewhere = (Judge, AbsentScorer, BertScore, LocalJudge) if dry else Judge
    for suite in plan.resolved.suites:
        for scorer in suite.scorers:
            if isinstance(scorer, elsewhere):
                continue
            try:
                if reads_likelihoods(scorer):
                    for example in suite.examples:
                        scorer.asked(example)
                else:
                    scorer.score([(example, _said("")) for example in suite.examples])
                    check_references(scorer, suite.examples)
            except InputError as error:
                raise InputError(f"suite {suite.name!r}: {error}") from error


def check_references(scorer: Scorer, examples: Iterable[Example]) -> None:
    """InputError for the first example whose own reference a scorer of right answers calls wrong."""
    right = [one.name for one in scorer.metrics if one.measures == "help" and not one.graded]
    tried = [example for example in examples if (example.reference or "").strip()]
    if not right or not tried:
        return
    answers = shown((example, _said(example.reference or "")) for example in tried)
    for example, verdict in zip(tried, scorer.score(answers), strict=True):
        if not any(verdict.values.get(name) for name in right):
            raise InputError(
                f"scorer {scorer.name!r} calls the reference of example {quoted(example.id)} wrong: "
                f"{quoted(example.reference or '', 80)}. Use a scorer that fits the references, or "
                "correct the reference."
            )


def _said(text: str) -> Answer:
    return Answer("", 0, text, (), "stop")


def verdict_row(answer: Mapping[str, Any], verdict: Verdict) -> dict[str, Any]:
    """A verdict as it is stored, with the stored answer it is about."""
    return {
        "prompt_id": answer["prompt_id"],
        "sample": answer["sample"],
        "scorer": verdict.scorer,
        "values": dict(verdict.values),
        "behaviour": verdict.behaviour,
        "parse": verdict.parse,
        "thoughts": split(answer["text"]).state,
        "raw": dict(verdict.raw),
    }
