"""A frozen file like the real one, for a few steps of training and a handful of prompts."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

from puretune.lab.confirm import Frozen, attempts, load_frozen

TINY = {
    "hidden": 16,
    "layers": 1,
    "heads": 2,
    "feed_forward": 16,
    "pretrain_steps": 2,
    "align_steps": 2,
    "batch_size": 2,
}


def small_content() -> dict[str, Any]:
    """The content of attempt 1 with tiny settings: two model seeds, two tuning seeds, two arms."""
    content = copy.deepcopy(yaml.safe_load(attempts()[1].read_text()))
    recipe = content["recipe"]
    recipe |= {"model_seeds": 2, "tuning_seeds": 2, "log_odds": {"study": "graded", "every": 1}}
    recipe["settings"] |= TINY
    recipe["arms"] = {name: recipe["arms"][name] for name in ("as-shipped", "no-ingredients")}
    recipe["tuning"]["data"]["limit"] = 4
    recipe["tuning"]["recipe"] |= {"steps": 1, "batch_size": 2}
    for study in recipe["studies"].values():
        study["suites"] = [{**suite, "limit": 2, "max_new_tokens": 2} for suite in study["suites"]]
    return content


def small_frozen(path: Path, content: dict[str, Any] | None = None) -> Frozen:
    """Written to ``path`` and loaded."""
    path.write_text(yaml.safe_dump(content or small_content(), sort_keys=False))
    return load_frozen(path)
