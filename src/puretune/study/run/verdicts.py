"""Stored answers get verdicts, shard by shard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any

from puretune.data import Example
from puretune.errors import InputError
from puretune.events import Advanced, EventSink, Finished, Started
from puretune.inference import Answer
from puretune.scoring import Judge, Scorer, Verdict, reads_options, score_answers, shown
from puretune.store import Store
from puretune.study.plan.shards import answers_of, shard_of, suites_of
from puretune.study.plan.steps import VERDICTS, Plan, ScoreStep
from puretune.study.run.answers import publishing
from puretune.study.run.judges import items_of, prepared
from puretune.thoughts import split
from puretune.visible import quoted


def score(plan: Plan, store: Store, on_event: EventSink) -> None:
    """Score the shards that have no verdict yet; every answer of the plan is in the store by now."""
    missing = [step for step in plan.score if not store.has(VERDICTS, step.key)]
    missing = list({step.key: step for step in missing}.values())
    if not missing:
        return
    suites, shards = suites_of(plan), {step.key: step for step in plan.answer}
    scorers = {scorer.name: scorer for suite in suites.values() for scorer in suite.scorers}
    scorers |= {judge.name: judge for judge in prepared(plan, store, on_event)}
    on_event(Started("score", len(missing)))
    counted = count(1)
    with publishing(store) as publish:
        for name, steps in _by_scorer(missing).items():
            for step in steps:
                shard = shards[step.answers]
                verdicts = _judge(scorers[name], shard_of(shard, suites), answers_of(shard, store))
                publish(VERDICTS, step.key, verdicts)
                on_event(Advanced("score", next(counted)))
            scorers[name].release()
    on_event(Finished("score"))


def _by_scorer(steps: Iterable[ScoreStep]) -> dict[str, list[ScoreStep]]:
    """One scorer after the other, in the order of their first steps."""
    found: dict[str, list[ScoreStep]] = {}
    for step in steps:
        found.setdefault(step.scorer, []).append(step)
    return found


def check_scorers(plan: Plan) -> None:
    """InputError, before anything is generated, where a scorer cannot use an example of its suite.

    Every example is scored once with an empty answer, and with its own reference, which a scorer of right
    answers must call right; judges behind endpoints are checked elsewhere.
    """
    for suite in plan.resolved.suites:
        for scorer in suite.scorers:
            if isinstance(scorer, Judge):
                continue
            try:
                if reads_options(scorer):
                    scorer.check(suite.examples)
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


def _judge(scorer: Scorer, shard: Iterable[Example], answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    verdicts = score_answers(scorer, items_of(shard, answers))
    return [verdict_row(row, verdict) for row, verdict in zip(answers, verdicts, strict=True)]
