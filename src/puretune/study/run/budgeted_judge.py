"""The judge under a budget: per cell, part of the answers drawn and judged, and published."""

from __future__ import annotations

from typing import Any

from puretune.events import EventSink
from puretune.scoring import Draw, agree, cheap_scores, judge_within
from puretune.store import Store
from puretune.study.plan.shards import answers_of, shard_of, suites_of, verdicts_of
from puretune.study.plan.steps import VERDICTS, Plan, SampledScoreStep
from puretune.study.run.judges import Item, items_of, reported_before
from puretune.study.run.units import SampledScoreUnit
from puretune.study.run.verdicts import verdict_row
from puretune.study.run.worker import Worker


def draw(unit: SampledScoreUnit, worker: Worker, on_event: EventSink) -> None:
    """Let the judge with a budget judge its part of every cell; the cheap verdicts are in the store."""
    plan, store = worker.plan, worker.store
    allowed = plan.resolved.allowance
    assert allowed is not None
    judge = allowed.judge.attended(agree, on_event, reported_before(plan, store, allowed.judge))
    rows = [_cell_rows(plan, store, step) for step in unit.steps]
    draws = [
        Draw(items, _cheap(plan, store, step, len(items)), step.budget)
        for step, (items, _) in zip(unit.steps, rows, strict=True)
    ]
    for step, (_, answers), verdicts in zip(unit.steps, rows, judge_within(judge, draws), strict=True):
        lines = [verdict_row(row, verdict) for row, verdict in zip(answers, verdicts, strict=True)]
        store.put_lines(VERDICTS, step.key, lines)


def _cell_rows(plan: Plan, store: Store, step: SampledScoreStep) -> tuple[list[Item], list[dict[str, Any]]]:
    """All answers of a cell, as items for a scorer and as they are stored."""
    suites, shards = suites_of(plan), {shard.key: shard for shard in plan.answer if shard.suite == step.suite}
    items: list[Item] = []
    answers: list[dict[str, Any]] = []
    for key in step.answers:
        rows = answers_of(shards[key], store)
        items += items_of(shard_of(shards[key], suites), rows)
        answers += rows
    return items, answers


def _cheap(plan: Plan, store: Store, step: SampledScoreStep, size: int) -> list[float]:
    allowed = plan.resolved.allowance
    cheap = allowed.cheap[step.suite] if allowed else None
    if step.cheap is None or cheap is None:
        return [0.0] * size
    steps = {(one.answers, one.scorer): one for one in plan.score}
    verdicts = [row for key in step.answers for row in verdicts_of(steps[key, step.cheap], store)]
    return cheap_scores((row["values"] for row in verdicts), cheap[1])
