"""Judges behind endpoints in a study: what they are about to be asked, what it will cost, who judged before.

A judge is asked about all its shards at once: one notice, one progress, each different answer once. Its
replies are in the user's ledger, so a killed run pays for none of them again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from puretune.data import Example
from puretune.inference import Answer
from puretune.scoring import Budget, Judge, Notice, shown, within
from puretune.store import Store, existing_store
from puretune.study.plan.shards import reported_models, shard_of, suites_of
from puretune.study.plan.steps import ANSWERS, VERDICTS, AnswerStep, Plan
from puretune.study.run.units import SampledScoreUnit, ScoreUnit, units

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


def _judges(plan: Plan, store: Store | None) -> Iterator[_Work]:
    """The judges behind endpoints, each with what is missing verdicts in the store; one that keeps to a
    budget has all answers of the cells that it has not seen to."""
    scorers = {scorer.name: scorer for suite in plan.resolved.suites for scorer in suite.scorers}
    shards = {(step.key, step.suite): step for step in plan.answer}
    for unit in units(plan):
        left = tuple(step for step in unit.steps if store is None or unit.wanted(step, set(), store))
        judge = scorers[unit.steps[0].scorer] if isinstance(unit, ScoreUnit | SampledScoreUnit) else None
        if isinstance(unit, ScoreUnit) and isinstance(judge, Judge):
            yield _work(judge, [shard for _, shard in replace(unit, steps=left).pairs], plan, store)
        elif isinstance(unit, SampledScoreUnit) and plan.resolved.allowance is not None:
            asked = [shards[key, step.suite] for step in left for key in step.answers]
            allowed = plan.resolved.allowance
            yield replace(_work(allowed.judge, asked, plan, store), budget=allowed.budget)


def _work(judge: Judge, shards: Iterable[AnswerStep], plan: Plan, store: Store | None) -> _Work:
    work, suites = _Work(judge), suites_of(plan)
    for shard in shards:
        asked, decoding = shard_of(shard, suites), suites[shard.suite].decoding
        kept = store.get(ANSWERS, shard.key) if store is not None else None
        if kept is not None:
            work.items += items_of(asked, kept.lines())
        else:
            work.ahead += [(example, decoding.n, decoding.max_new_tokens) for example in asked]
    return work
