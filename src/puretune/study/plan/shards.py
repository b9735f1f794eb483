"""The shards of a plan: which examples each is about, and what the store has of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from puretune.data import Example
from puretune.errors import EnvironmentFault
from puretune.store import Store
from puretune.study.plan.resolve import ResolvedSuite
from puretune.study.plan.steps import ANSWERS, VERDICTS, AnswerStep, Plan, SampledScoreStep, ScoreStep


def suites_of(plan: Plan) -> dict[str, ResolvedSuite]:
    """The plan's suites by name, rows that the untuned model answers among them."""
    rows = [plan.resolved.asked_for(one) for one in plan.resolved.written.values()]
    return {suite.name: suite for suite in (*plan.resolved.suites, *rows)}


def shard_of(step: AnswerStep, suites: Mapping[str, ResolvedSuite]) -> tuple[Example, ...]:
    """The examples of one shard."""
    return suites[step.suite].examples[step.first : step.first + step.prompts]


def answers_of(step: AnswerStep, store: Store) -> list[dict[str, Any]]:
    """The stored answers of one shard, prompts in their order, then samples."""
    return lines_of(ANSWERS, step.key, store)


def verdicts_of(step: ScoreStep | SampledScoreStep, store: Store) -> list[dict[str, Any]]:
    """The stored verdicts of one scorer on one shard, in the order of the answers."""
    return lines_of(VERDICTS, step.key, store)


def lines_of(kind: str, key: str, store: Store) -> list[dict[str, Any]]:
    """What the store has under a key; EnvironmentFault if it has lost it."""
    kept = store.get(kind, key)
    if kept is None:
        raise EnvironmentFault(f"{store.path(kind, key)} is missing. Run the same command again.")
    return kept.lines()


def reported_models(verdicts: Iterable[Mapping[str, Any]]) -> list[str]:
    """The models that the endpoint reported for stored verdicts."""
    return [str(row["raw"]["model"]) for row in verdicts if row["raw"].get("model")]
