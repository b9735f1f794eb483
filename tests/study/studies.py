"""A small study on a tiny random model, for the tests of this room and of the commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from puretune.study.plan.conditions import Condition, Training
from puretune.templates import PromptTemplate
from puretune.tuning import Recipe, tuner_named
from tests.tiny import tiny_llama

STUDY: dict[str, Any] = {
    "name": "sums",
    "model": "./model",
    "tuning": {
        "data": "sums.jsonl",
        "recipe": {"learning_rate": 1e-2, "steps": 3, "rank": 2, "checkpoint_every": 1},
        "seeds": [0, 1],
    },
    "train": ["untuned", "CV", "CL"],
    "test": ["CV", "CL"],
    "suites": [
        {"name": "sums", "source": "sums.jsonl", "scorers": ["gsm8k"], "max_new_tokens": 4, "limit": 4}
    ],
}


def small_model(directory: Path) -> Path:
    """A random model, made once per test session."""
    model = directory / "model"
    return model if model.exists() else tiny_llama(model)


def small_study(directory: Path, base: Path, /, **changes: Any) -> Path:
    """Writes a study file with its data beside it; ``changes`` replace top-level keys (None: left out)."""
    directory.mkdir(parents=True, exist_ok=True)
    rows = [{"question": f"{i} plus {i}?", "answer": f"#### {2 * i}"} for i in range(6)]
    (directory / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if not (directory / "model").exists():
        (directory / "model").symlink_to(base)
    fields = {key: value for key, value in {**STUDY, **changes}.items() if value is not None}
    path = directory / "study.yaml"
    path.write_text(yaml.safe_dump(fields, sort_keys=False))
    return path


def condition(name: str, template: PromptTemplate | None = None) -> Condition:
    """A condition that is tuned under ``template``, or (None) the base as it is."""
    training = Training(template, (), Recipe(), tuner_named("gang")) if template is not None else None
    return Condition(name, training)
