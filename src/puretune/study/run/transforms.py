"""Adapters transformed: read from the store, changed layer by layer, published under their own keys."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from puretune.errors import InputError
from puretune.events import EventSink
from puretune.lazily import load
from puretune.models import (
    AdapterRef,
    LazyBase,
    TunedModel,
    adapter_ref,
    read_manifest,
    shown,
    write_manifest,
)
from puretune.store import Store, make_directory
from puretune.study.plan.steps import ADAPTER, Plan, TransformStep
from puretune.study.plan.tuning import stored_adapter
from puretune.study.run.units import TransformUnit
from puretune.study.run.worker import Worker


def transform(unit: TransformUnit, worker: Worker, on_event: EventSink) -> None:
    """Make and publish adapters; those that they are made of are in the store."""
    for step in unit.steps:
        directory = make_directory(worker.scratch / step.key[:16])
        refs = [_source(worker.store, one) for one in step.sources]
        _write(worker.plan, step, worker.tunable, refs, directory)
        worker.store.put_directory(ADAPTER, step.key, directory, _about(step, directory))
        shutil.rmtree(directory, ignore_errors=True)


def _source(store: Store, said: str | TunedModel) -> AdapterRef:
    """The adapter of that key, or the one that existed before."""
    found = stored_adapter(store, said) if isinstance(said, str) else said
    if not isinstance(found, AdapterRef):
        raise InputError(f"{shown(found)} is not a LoRA adapter, so it cannot be transformed.")
    return found


def _write(plan: Plan, step: TransformStep, base: LazyBase, refs: list[AdapterRef], directory: Path) -> None:
    """The adapter's files and, where the one that it is made of has a manifest, its own."""
    read = load("puretune.models.transforms.low_rank:read_low_rank")
    adapter, *others = (read(ref.path) for ref in refs)
    for one in plan.resolved.conditions[step.condition].transforms:
        taken, others = others[: len(one.others)], others[len(one.others) :]
        adapter = one.open(base)(adapter, *taken)
    load("puretune.models.transforms.low_rank:write_low_rank")(directory, adapter)
    manifest = read_manifest(refs[0].path)
    if manifest is not None:
        facts = {"transforms": step.inputs["transforms"], "adapters": [ref.digest for ref in refs]}
        write_manifest(
            directory, replace(manifest, condition=step.condition, inputs=step.key, transformed=facts)
        )


def _about(step: TransformStep, directory: Path) -> dict[str, Any]:
    return {
        "condition": step.condition,
        "seed": step.seed,
        "step": step.step,
        "digest": adapter_ref(directory).digest,
        **step.inputs,
    }
