"""Adapters transformed: read from the store, changed layer by layer, published under their own keys."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from puretune.errors import InputError
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
from puretune.study.plan.steps import ADAPTER, AnswerStep, Plan, TransformStep
from puretune.study.plan.tuning import stored_adapter


def missing_transforms(plan: Plan, store: Store, asked: Iterable[AnswerStep]) -> list[TransformStep]:
    """The transformed adapters that missing shards wait for, and damaged ones, each after what it needs."""
    needed = {step.who.adapter for step in asked}
    missing = []
    for step in reversed(plan.transform):
        if not store.has(ADAPTER, step.key) and (step.key in needed or store.is_damaged(ADAPTER, step.key)):
            missing.append(step)
            needed |= {*step.needs}
    return missing[::-1]


def transform(
    plan: Plan, store: Store, base: LazyBase, steps: Iterable[TransformStep], scratch: Path
) -> None:
    """Make and publish these adapters; the adapters that they are made of are in the store."""
    for step in steps:
        directory = make_directory(scratch / step.key[:16])
        refs = [_source(store, one) for one in step.sources]
        _write(plan, step, base, refs, directory)
        store.put_directory(ADAPTER, step.key, directory, _about(step, directory))
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
