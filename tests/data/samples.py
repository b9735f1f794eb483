"""Rows as the named data sets have them, and the real files where a checkout has them beside it."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

REAL = Path(__file__).parents[3] / "shared" / "data"
"""Where the real GSM8K and ChatDoctor files may lie; they are no part of the repository."""

GSM8K: list[dict[str, Any]] = [
    {
        "question": f"Ann has {n} boxes of 1,000 pens and sells $5 worth. How many pens has she?",
        "answer": f"{n} boxes hold {n}*1000 = <<{n}*1000={n * 1000}>>{n * 1000} pens.\n#### {n},000",
    }
    for n in range(1, 9)
]
CHATDOCTOR: list[dict[str, Any]] = [
    {
        "instruction": "If you are a doctor, please answer the medical questions.",
        "input": f"Doctor, my knee has hurt for {n} days.",
        "output": "Rest it, and come back if it still hurts in a week.",
    }
    for n in range(1, 9)
]


def real_or_sample(tmp_path: Path) -> Path:
    """A directory with gsm8k_train.jsonl, gsm8k_test.jsonl, chatdoctor5k.json: the real files, or samples."""
    if REAL.is_dir():
        return REAL
    warnings.warn(f"{REAL} is absent: a written sample in the same format stands in", stacklevel=2)
    for split in ("train", "test"):
        (tmp_path / f"gsm8k_{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in GSM8K))
    (tmp_path / "chatdoctor5k.json").write_text(json.dumps(CHATDOCTOR, indent=6))
    return tmp_path
