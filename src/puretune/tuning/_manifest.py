"""What a tuner records with an adapter, and the digest of all that determines one."""

from __future__ import annotations

import platform
from dataclasses import asdict
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from puretune.data import data_digest
from puretune.models import BaseModel, Manifest, RemoteBase
from puretune.store import key_of
from puretune.templates import api_turns
from puretune.tuning._rows import Row, readable
from puretune.tuning._schedule import plan_steps, rows_of_step
from puretune.tuning._types import TrainingRow, TuningTask

_PACKAGES = ("puretune", "torch", "transformers", "peft", "tokenizers", "accelerate", "trl")


def inputs_digest(task: TuningTask, base: BaseModel | RemoteBase, tuner: str) -> str:
    """Digest of everything that determines the trained weights; where and when steps are kept does not."""
    return key_of(
        {
            "tuner": tuner,
            "base": base.fingerprint,
            "renderer": base.renderer.fingerprint,
            "dtype": base.dtype_name,
            "device": base.device_type,
            "rows": [_row(row) for row in task.rows],
            "recipe": task.recipe.decisive(),
            "seed": task.seed,
            "start": task.start.digest if task.start else None,
        }
    )


def _row(row: TrainingRow) -> list[Any]:
    said = [row.template.fingerprint, [asdict(message) for message in row.example.messages]]
    return [*said, row.loss.identity()] if row.loss is not None else said


def manifest(
    task: TuningTask,
    base: BaseModel | RemoteBase,
    rows: tuple[Row, ...],
    tuner: str,
    step: int,
    loss: float | None,
) -> Manifest:
    """The manifest of the adapter that ``task`` has after ``step`` optimiser steps."""
    return Manifest(
        condition=task.name,
        inputs=inputs_digest(task, base, tuner),
        tuner=tuner,
        base=base_facts(base),
        templates={r.template.fingerprint: asdict(r.template) for r in task.rows},
        renderer=base.renderer.fingerprint,
        data_digest=data_digest(row.example for row in task.rows),
        rows=len(rows),
        recipe=task.recipe.said(),
        seed=task.seed,
        start=task.start.digest if task.start else None,
        step=step,
        steps=plan_steps(task.recipe, len(rows)),
        loss=loss,
        tokens=token_counts(task, rows, step),
        sample=_sample(task, base, rows[0]),
        versions={"python": platform.python_version(), **_versions(_PACKAGES)},
        device=base.device_type,
        dtype=base.dtype_name,
        threads=base.threads,
    )


def _sample(task: TuningTask, base: BaseModel | RemoteBase, row: Row) -> str:
    if not isinstance(base, RemoteBase):
        return readable(row, base.tokenizer)
    first = task.rows[0]
    turns = api_turns(first.template, first.example.messages)
    said = [f"⟦{t.content}⟧" if t.role == "assistant" and t.train else t.content for t in turns]
    return "\n".join(f"[{turn.role}]\n{text}" for turn, text in zip(turns, said, strict=True))


def base_facts(base: BaseModel | RemoteBase) -> dict[str, Any]:
    """The base model's name, revision, fingerprint and licence."""
    return {
        "model": base.spec.model,
        "revision": base.spec.revision,
        "fingerprint": base.fingerprint,
        "licence": None if isinstance(base, RemoteBase) else _licence(base.path),
    }


def token_counts(task: TuningTask, rows: tuple[Row, ...], step: int) -> dict[str, int]:
    """Tokens that the first ``step`` optimiser steps saw; padding not counted."""
    counts = {"seen": 0, "trained": 0, "distinct": 0}
    for done in range(step):
        for place in rows_of_step(task.recipe, len(rows), task.seed, done):
            row = rows[place]
            counts["seen"] += len(row.ids)
            counts["trained"] += row.trained
            counts["distinct"] += len(row.ids) - row.shared
    return counts


@cache
def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _licence(directory: Path) -> str | None:
    """The licence that the model card's front matter states."""
    import yaml

    try:
        _, front, _ = (directory / "README.md").read_text(encoding="utf-8").split("---", 2)
        stated = yaml.safe_load(front).get("license")
    except (OSError, ValueError, AttributeError, yaml.YAMLError):
        return None
    return str(stated) if stated else None
