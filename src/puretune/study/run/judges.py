"""Judges behind endpoints in a study: what they will cost, and every answer judged before shards are scored.

Verdicts come shard by shard, but a judge is asked about all shards at once: one notice, one progress, each
different answer once. Its replies are in the user's ledger, so a killed run pays for none of them again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from puretune.data import Example
from puretune.events import EventSink
from puretune.inference import Answer
from puretune.scoring import Budget, Judge, Notice, agree, shown, within
from puretune.store import Store, existing_store
from puretune.study.plan.resolve import ResolvedSuite
from puretune.study.plan.shards import reported_models
from puretune.study.plan.steps import ANSWERS, VERDICTS, AnswerStep, Plan

Item = tuple[Example, Answer]


@dataclass
class _Work:
    """What one judge has yet to judge."""

    judge: Judge
    items: list[Item] = field(default_factory=list)
    ahead: list[tuple[Example, int, int]] = field(default_factory=list)
    """Prompts without an answer yet: how many answers, and of how many tokens at most."""
    budget: Budget | None = None
    """What it keeps to, if anything."""

    def notice(self) -> Notice:
        """What will be sent."""
        notice = self.judge.notice(self.items, self.ahead)
        return within(notice, self.budget) if self.budget else notice


def judge_notices(plan: Plan, out: Path) -> list[Notice]:
    """What a run in ``out`` will send where, one notice per judge behind an endpoint; nothing is sent."""
    return [work.notice() for work in _judges(plan, existing_store(out))]


def check_judges(plan: Plan, store: Store) -> list[Notice]:
    """The notices of judges that have work left, where they can do it.

    InputError for a prompt that cannot be judged, EnvironmentFault if a key is missing.
    """
    notices = []
    for work in _judges(plan, store):
        if work.items or work.ahead:
            work.judge.check([*(example for example, _ in work.items), *(one[0] for one in work.ahead)])
            notices.append(work.notice())
    return [notice for notice in notices if notice.estimate.requests]


def prepared(plan: Plan, store: Store, on_event: EventSink) -> list[Judge]:
    """The plan's judges, after each without a budget has judged all its answers, which are in the store."""
    ready = []
    for work in _judges(plan, store):
        if work.budget is not None:
            continue
        judge = work.judge.attended(agree, on_event, reported_before(plan, store, work.judge))
        if work.items:
            judge.prepare(work.items)
        ready.append(judge)
    return ready


def items_of(asked: Iterable[Example], answers: Iterable[Mapping[str, Any]]) -> list[Item]:
    """Stored answers with their examples, as scorers and judges see them: without the model's thoughts."""
    examples = {example.id: example for example in asked}
    return shown(
        (
            examples[row["prompt_id"]],
            Answer(
                row["prompt_id"],
                row["sample"],
                row["text"],
                tuple(row["token_ids"]),
                row["finish"],
                note=row.get("note", ""),
            ),
        )
        for row in answers
    )


def reported_before(plan: Plan, store: Store, judge: Judge) -> str | None:
    """The model that judged what the plan already has verdicts of; None: nothing is judged yet.

    CheckFailed, before anything is paid, where these verdicts are of two models.
    """
    scored = [step.key for step in plan.score if step.scorer == judge.name]
    drawn = [step.key for step in plan.sampled_score if _draws(plan, judge)]
    models: dict[str, None] = {}
    for key in dict.fromkeys([*scored, *drawn]):
        kept = store.get(VERDICTS, key)
        models |= dict.fromkeys(reported_models(kept.lines() if kept is not None else ()))
    judge.check_reported(models)
    return next(iter(models), None)


def _draws(plan: Plan, judge: Judge) -> bool:
    return plan.resolved.allowance is not None and plan.resolved.allowance.judge.name == judge.name


def _judges(plan: Plan, store: Store | None) -> list[_Work]:
    """The judges behind endpoints, each with what is missing verdicts in the store."""
    shards = {step.key: step for step in plan.answer}
    suites = {suite.name: suite for suite in plan.resolved.suites}
    scorers = {scorer.name: scorer for suite in suites.values() for scorer in suite.scorers}
    found: dict[str, _Work] = {}
    for step in {step.key: step for step in plan.score}.values():
        suite, judge = suites[shards[step.answers].suite], scorers[step.scorer]
        if isinstance(judge, Judge):
            work = found.setdefault(judge.name, _Work(judge))
            if store is None or not store.has(VERDICTS, step.key):
                _add(work, shards[step.answers], suite, store)
    return [*found.values(), *_budgeted(plan, store)]


def _budgeted(plan: Plan, store: Store | None) -> list[_Work]:
    """The judge that keeps to a budget, with all answers of the cells that it has not seen to."""
    allowed = plan.resolved.allowance
    if allowed is None:
        return []
    suites = {suite.name: suite for suite in plan.resolved.suites}
    shards = {(step.key, step.suite): step for step in plan.answer}
    work = _Work(allowed.judge, budget=allowed.budget)
    for step in {step.key: step for step in plan.sampled_score}.values():
        if store is None or not store.has(VERDICTS, step.key):
            for key in step.answers:
                _add(work, shards[key, step.suite], suites[step.suite], store)
    return [work]


def _add(work: _Work, shard: AnswerStep, suite: ResolvedSuite, store: Store | None) -> None:
    asked = suite.examples[shard.first : shard.first + shard.prompts]
    kept = store.get(ANSWERS, shard.key) if store is not None else None
    if kept is not None:
        work.items += items_of(asked, kept.lines())
    else:
        decoding = suite.decoding
        work.ahead += [(example, decoding.n, decoding.max_new_tokens) for example in asked]
