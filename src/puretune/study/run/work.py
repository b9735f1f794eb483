"""What is missing of a plan gets computed: adapters, answers, verdicts, each published when it is done.

A killed run loses at most the shard of answers under way and the optimiser steps since the last resume point.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from puretune.endpoints import Notice
from puretune.events import EventSink, Warned
from puretune.inference import LocalSpec, mend_journals
from puretune.models import LazyBase, adapter_ref, read_manifest
from puretune.scoring import Consent, loopback_only
from puretune.store import Store, key_of, remove_sound
from puretune.study.plan.prompts import Prompts
from puretune.study.plan.shards import suites_of
from puretune.study.plan.steps import ADAPTER, ANSWERS, AnswerStep, Plan, ScoreStep, TuneStep
from puretune.study.plan.tuning import place_of, start_of, to_tune
from puretune.study.run.answers import Answering
from puretune.study.run.budgeted_judge import draw
from puretune.study.run.choices import choose, missing_choices
from puretune.study.run.judges import check_judges
from puretune.study.run.processes import beside, has_room
from puretune.study.run.transforms import missing_transforms, transform
from puretune.study.run.verdicts import check_scorers, score
from puretune.tuning import GangTuner, Tuner, TunerSpec, TuningTask

_REPLIES = "replies-{}.jsonl"
"""In the scratch directory, by the plan's key: what an endpoint has answered in the run under way."""

_WORTH_TWO_GANGS = 4
"""Conditions from which on a second process is worth its start."""


def work(
    plan: Plan, store: Store, scratch: Path, on_event: EventSink, consent: Consent = loopback_only
) -> None:
    """Compute and publish what is missing from the store; ``scratch`` holds the resume points of unfinished
    tuning.

    Several studies may share it: what this one put there goes when it is done.

    InputError, before anything is computed, where a prompt or a row is longer than the model's context.
    """
    missing = missing_answers(plan, store)
    for notice in [*engine_notices(plan, store), *check_judges(plan, store)]:
        consent(notice)
    choices = missing_choices(plan, store)
    asked = [*missing, *(shard for _, shard in choices)]
    tunes, transforms = missing_tunes(plan, store, asked), missing_transforms(plan, store, asked)
    if missing or choices or tunes or transforms:
        check_scorers(plan)
        base = LazyBase(plan.resolved.base.spec, on_event)
        prompts = Prompts(plan, lambda: base.renderer)
        prompts.check(missing, lambda: base.context_length)
        whole = base
        if base.spec.quantization is not None:
            whole = LazyBase(replace(base.spec, quantization=None), on_event)  # for tuning
        local = plan.resolved.engine.name == LocalSpec.name
        early = _untuned(plan, store, base, missing, prompts) if local and whole is base else ()
        _tune(plan, store, whole, tunes, scratch, on_event, consent, early)
        transform(plan, store, whole, transforms, scratch)
        if whole is not base or not plan.resolved.engine.uses_base:
            whole.release()
        missing = [step for step in missing if not store.has(ANSWERS, step.key)]
        if missing or choices:
            kept = _replies(plan, scratch, on_event)
            _answer(plan, store, base, prompts, missing, choices, kept, on_event)
        base.release()  # judges have the memory for themselves
    score(plan, store, on_event)
    draw(plan, store, on_event)


def _answer(
    plan: Plan,
    store: Store,
    base: LazyBase,
    prompts: Prompts,
    missing: Sequence[AnswerStep],
    choices: Sequence[tuple[ScoreStep, AnswerStep]],
    kept: Path,
    on_event: EventSink,
) -> None:
    """All answers and choices that are missing, by one engine, which is released afterwards."""
    with closing(plan.resolved.engine.open(base, kept)) as engine:
        if missing:
            in_two = plan.resolved.engine.name == LocalSpec.name and has_room(base.base)
            Answering(plan, store, engine, prompts).answer(missing, on_event, in_two)
        choose(plan, store, engine, base, choices, on_event)


def tidy(plan: Plan, scratch: Path) -> None:
    """Remove what a plan that is done left in ``scratch``: not what was set aside, nor what is another's."""
    for tune in plan.tune:
        remove_sound(place_of(tune, scratch))
    with suppress(OSError):
        (scratch / _REPLIES.format(plan.key[:16])).unlink(missing_ok=True)
        scratch.rmdir()  # where it is empty


def _replies(plan: Plan, scratch: Path, on_event: EventSink) -> Path:
    """Where replies of this run are kept, after what was damaged in earlier ones has been set aside."""
    mend_journals(scratch, lambda text: on_event(Warned(text)))
    return scratch / _REPLIES.format(plan.key[:16])


def _untuned(
    plan: Plan,
    store: Store,
    base: LazyBase,
    missing: Sequence[AnswerStep],
    prompts: Prompts,
) -> Iterator[None]:
    """Answers that wait for no tuning, for a second process that has tuned its part."""
    with closing(plan.resolved.engine.open(base)) as engine:
        yield from Answering(plan, store, engine, prompts).untuned(missing)


def engine_notices(plan: Plan, store: Store | None) -> list[Notice]:
    """What the engine sends where, if it sends anything anywhere and there is something to answer."""
    asked = plan.answer if store is None else missing_answers(plan, store)
    suites = suites_of(plan)
    answers = sum(s.prompts * suites[s.suite].decoding.n for s in {s.key: s for s in asked}.values())
    notice = plan.resolved.engine.notice(plan.resolved.base.spec.model, answers) if answers else None
    return [notice] if notice is not None else []


def tuner_notices(plan: Plan, store: Store | None) -> list[Notice]:
    """What a tuner elsewhere is sent, and at what price, if there is something left to tune.

    InputError if it cannot be tuned there.
    """
    tunes = plan.tune if store is None else missing_tunes(plan, store, missing_answers(plan, store))
    notices = []
    for chosen, together in _rounds(plan, tunes):
        if chosen.remote:
            model = plan.resolved.base.spec
            notices.append(chosen.notice(model, [to_tune(plan.resolved, tune) for tune in together]))
    return [notice for notice in notices if notice is not None]


def missing_answers(plan: Plan, store: Store) -> list[AnswerStep]:
    """The shards of answers that are missing from the store."""
    return [step for step in plan.answer if not store.has(ANSWERS, step.key)]


def missing_tunes(plan: Plan, store: Store, asked: Iterable[AnswerStep]) -> list[TuneStep]:
    """The tuning that missing shards wait for, and that of damaged adapters, each once."""
    asked = list(asked)
    transformed = (key for step in missing_transforms(plan, store, asked) for key in step.needs)
    needed = {*(step.who.adapter for step in asked), *transformed}
    wanted: dict[str, TuneStep] = {}
    for tune in reversed(plan.tune):  # each after those that start from it
        missing = [key for step in tune.kept if not store.has(ADAPTER, key := tune.adapter_key(step))]
        if any(key in needed or store.is_damaged(ADAPTER, key) for key in missing):
            wanted[tune.key] = tune
            needed |= {tune.start}
    return list(reversed(wanted.values()))


def _rounds(plan: Plan, tunes: Iterable[TuneStep]) -> list[tuple[TunerSpec, list[TuneStep]]]:
    """The steps that can be tuned together: of one tuner, each after those that it starts from."""
    rounds: dict[tuple[int, str], tuple[TunerSpec, list[TuneStep]]] = {}
    for tune in tunes:
        tuner = plan.resolved.tuned[tune.condition].tuner
        rounds.setdefault((tune.round, key_of({"tuner": tuner.identity()})), (tuner, []))[1].append(tune)
    return [rounds[place] for place in sorted(rounds, key=lambda place: place[0])]


def _tune(
    plan: Plan,
    store: Store,
    base: LazyBase,
    tunes: Sequence[TuneStep],
    scratch: Path,
    on_event: EventSink,
    consent: Consent,
    early: Iterable[None],
) -> None:
    for chosen, together in _rounds(plan, tunes):
        _tune_together(plan, store, chosen.open(base, consent), base, together, scratch, on_event, early)


def _tune_together(
    plan: Plan,
    store: Store,
    tuner: Tuner,
    base: LazyBase,
    tunes: Sequence[TuneStep],
    scratch: Path,
    on_event: EventSink,
    early: Iterable[None],
) -> None:
    tasks = [to_tune(plan.resolved, tune, scratch, start_of(tune, store)) for tune in tunes]
    by_place = {task.out: tune for task, tune in zip(tasks, tunes, strict=True)}
    started = time.monotonic()
    if tuner.name == GangTuner.name and len(tasks) >= _WORTH_TWO_GANGS and has_room(base.base):
        _tune_in_two(plan, tuner, tasks, scratch, on_event, early)
    kept = tuner.tune(tasks, on_event)  # what is there already is not made again
    for place, group in groupby(kept, key=lambda one: one[0].out):
        for _ in group:  # the tuner keeps every step under ``place``; they are published together
            pass
        seconds = round(time.monotonic() - started, 1)
        for step in by_place[place].kept:
            _publish(store, by_place[place], step, place / f"step-{step}", seconds)
        started = time.monotonic()


def _tune_in_two(
    plan: Plan,
    tuner: Tuner,
    tasks: Sequence[TuningTask],
    scratch: Path,
    on_event: EventSink,
    early: Iterable[None],
) -> None:
    """Half of the conditions here, half in a second process; their adapters are under each one's ``out``.
    Whatever of ``early`` the second process has time for is done there too.

    Halves of the plan's round, not of what is missing: a resume repeats the same gangs.
    """
    halves = [together[: (len(together) + 1) // 2] for _, together in _rounds(plan, plan.tune)]
    first = {place_of(tune, scratch) for half in halves for tune in half}
    here = [task for task in tasks if task.out in first]
    there = [task for task in tasks if task.out not in first]
    with beside(lambda sink: list(tuner.tune(there, sink)), on_event, early):
        list(tuner.tune(here, on_event))


def _publish(store: Store, tune: TuneStep, step: int, path: Path, seconds: float) -> None:
    manifest = read_manifest(path)
    about = {
        "condition": tune.condition,
        "seed": tune.seed,
        "step": step,
        "digest": adapter_ref(path).digest,
        "tokens": dict(manifest.tokens) if manifest else {},
        "seconds": seconds,
    }
    store.put_directory(ADAPTER, tune.adapter_key(step), path, about)
