"""Tuning: the steps of a gang are tuned together, and their adapters published."""

from __future__ import annotations

import time
from itertools import groupby
from pathlib import Path

from puretune.events import EventSink
from puretune.models import adapter_ref, read_manifest
from puretune.store import Store
from puretune.study.plan.steps import ADAPTER, TuneStep
from puretune.study.plan.tuning import start_of, to_tune, written_in
from puretune.study.run.units import TuneUnit
from puretune.study.run.worker import Worker


def tune(unit: TuneUnit, worker: Worker, on_event: EventSink) -> None:
    """Tune a gang; what an earlier run has left in the scratch directory is not made again."""
    plan, store = worker.plan, worker.store
    tuner = plan.resolved.tuned[unit.steps[0].condition].tuner.open(worker.tunable, worker.consent)
    tasks = [
        to_tune(plan.resolved, step, worker.scratch, start_of(step, store), written_in(store, plan))
        for step in unit.steps
    ]
    by_place = {task.out: step for task, step in zip(tasks, unit.steps, strict=True)}
    started = time.monotonic()
    for place, group in groupby(tuner.tune(tasks, on_event), key=lambda kept: kept[0].out):
        for _ in group:  # the tuner keeps every step under ``place``; they are published together
            pass
        seconds = round(time.monotonic() - started, 1)
        for step in by_place[place].kept:
            _publish(store, by_place[place], step, place / f"step-{step}", seconds)
        started = time.monotonic()


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
