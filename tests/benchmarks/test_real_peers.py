"""The comparison of a real model with its peers, on a tiny one. No test says what is fast."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import real_peers
from tests.tiny import tiny_qwen2


def test_every_side_tunes_the_same_adapters_and_gives_the_same_answers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("trl")
    model = _model(tmp_path / "model")
    _gsm8k(tmp_path)
    for name, value in (("_BATCH", 4), ("_PROMPTS", 3), ("_NEW", 4), ("_BATCHES", (2,))):
        monkeypatch.setattr(real_peers, name, value)
    out = tmp_path / "out.json"
    monkeypatch.setattr(
        "sys.argv",
        [
            "x",
            "--model",
            str(model),
            "--gsm8k",
            str(tmp_path),
            "--repeats",
            "1",
            "--steps",
            "1",
            "--out",
            str(out),
        ],
    )
    real_peers.main()
    items = json.loads(out.read_text())["items"]
    tuned = items["B11"]["runs"]
    assert set(tuned) == set(real_peers.tuning_sides(1)), items["B11"]["failed"]
    assert all(runs[0]["difference"] < 1e-3 for side, runs in tuned.items() if "bf16" not in side)
    answered = items["B12"]["runs"]
    assert {"puretune", "generate, batch 2"} <= set(answered)
    assert answered["puretune"][0]["different_answers"] == 0
    assert "| puretune |" in capsys.readouterr().out


def _model(directory: Path) -> Path:
    tiny_qwen2(directory)
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 4096}))
    return directory


def _gsm8k(directory: Path) -> None:
    for split in ("train", "test"):
        rows = (
            {"question": f"{split}: what are {n} and 2?", "answer": f"{n + 2}.\n#### {n + 2}"}
            for n in range(8)
        )
        (directory / f"gsm8k_{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
