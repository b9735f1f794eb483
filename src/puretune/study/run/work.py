"""What is missing of a plan gets computed: adapters, answers, verdicts, each published when it is done.

A killed run loses at most the pool or shard under way and the optimiser steps since the last resume point.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

from puretune.endpoints import Notice
from puretune.events import EventSink, UnitsQueued
from puretune.scoring import Consent, loopback_only
from puretune.store import Store, remove_sound
from puretune.study.plan.shards import suites_of
from puretune.study.plan.steps import Plan
from puretune.study.plan.tuning import place_of, to_tune
from puretune.study.run.executors import AUTO, ExecutorSpec, executor_named
from puretune.study.run.judges import check_judges
from puretune.study.run.units import AnswerUnit, LikelihoodUnit, TransformUnit, TuneUnit, Unit, pending
from puretune.study.run.verdicts import check_scorers
from puretune.study.run.worker import Worker, replies_of


def work(
    plan: Plan,
    store: Store,
    scratch: Path,
    on_event: EventSink,
    consent: Consent = loopback_only,
    executor: str | ExecutorSpec = AUTO,
) -> None:
    """Compute and publish what is missing from the store; ``scratch`` holds the resume points of unfinished
    tuning.

    Several studies may share it: what this one put there goes when it is done.

    InputError, before anything is computed, where a prompt or a row is longer than the model's context.
    """
    units = pending(plan, store)
    for notice in [*_engine_notices(plan, units), *check_judges(plan, store)]:
        consent(notice)
    with closing(Worker(plan, store, scratch, on_event, consent)) as worker:
        if any(isinstance(unit, TuneUnit | TransformUnit | AnswerUnit | LikelihoodUnit) for unit in units):
            check_scorers(plan)
            asked = [step for unit in units if isinstance(unit, AnswerUnit) for step in unit.steps]
            worker.prompts.check(asked, lambda: worker.base.context_length)
        on_event(UnitsQueued(Counter(unit.work for unit in units)))
        executor_named(executor, worker, units).open(worker)(units)


def tidy(plan: Plan, scratch: Path) -> None:
    """Remove what a plan that is done left in ``scratch``: not what was set aside, nor what is another's."""
    for tune in plan.tune:
        remove_sound(place_of(tune, scratch))
    with suppress(OSError):
        replies_of(plan, scratch).unlink(missing_ok=True)
        scratch.rmdir()  # where it is empty


def engine_notices(plan: Plan, store: Store | None) -> list[Notice]:
    """What the engine sends where, if it sends anything anywhere and there is something to answer."""
    return _engine_notices(plan, pending(plan, store))


def _engine_notices(plan: Plan, units: Sequence[Unit]) -> list[Notice]:
    suites = suites_of(plan)
    asked = [step for unit in units if isinstance(unit, AnswerUnit) for step in unit.steps]
    answers = sum(step.prompts * suites[step.suite].decoding.n for step in asked)
    notice = plan.resolved.engine.notice(plan.resolved.base.spec.model, answers) if answers else None
    return [notice] if notice is not None else []


def tuner_notices(plan: Plan, store: Store | None) -> list[Notice]:
    """What a tuner elsewhere is sent, and at what price, if there is something left to tune.

    InputError if it cannot be tuned there.
    """
    notices = []
    for unit in pending(plan, store):
        tuner = plan.resolved.tuned[unit.steps[0].condition].tuner if isinstance(unit, TuneUnit) else None
        if tuner is not None and tuner.remote:
            tasks = [to_tune(plan.resolved, step) for step in unit.steps]
            notices.append(tuner.notice(plan.resolved.base.spec, tasks))
    return [notice for notice in notices if notice is not None]
