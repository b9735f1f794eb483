"""A tiny random model in SmolLM2's place: the kitchen's code runs on it in seconds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from puretune.kitchen import KitchenSettings
from puretune.models import ModelSpec
from tests.tiny import tiny_qwen2

FEW = KitchenSettings(pairs=4, others=2, own_tokens=12, rank=2, epochs=1.0, batch_size=4)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    directory = tiny_qwen2(tmp_path_factory.mktemp("kitchen") / "base")
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 4096}))
    return ModelSpec(str(directory), markup="chatml", dtype="bfloat16", device="cpu", threads=1)


@pytest.fixture
def gsm8k(tmp_path: Path) -> Path:
    """A few rows in GSM8K's format."""
    place = tmp_path / "gsm8k"
    place.mkdir()
    for split, rows in (("train", 12), ("test", 3)):
        lines = [
            json.dumps(
                {"question": f"{split}: what are {n} and 2?", "answer": f"They are {n + 2}.\n#### {n + 2}"}
            )
            for n in range(rows)
        ]
        (place / f"gsm8k_{split}.jsonl").write_text("\n".join(lines) + "\n")
    return place
