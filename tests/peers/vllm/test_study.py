"""A study through vLLM, each adapter merged into the weights: the matrix of the local engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from puretune.study import Study, run_study
from tests.peers.vllm.conftest import OPTIONS
from tests.peers.vllm.need import need_vllm
from tests.study.studies import small_study

need_vllm()


def answers(study: Path, out: Path) -> list[dict[str, Any]]:
    run_study(Study.load(study), out)
    return [json.loads(line) for line in (out / "answers.jsonl").read_text("utf-8").splitlines()]


def test_a_study_gives_the_same_answers_through_vllm(tmp_path: Path, model_path: Path) -> None:
    pairs = {"train": None, "test": None, "pairs": ["CV -> CV", "CV -> CL"]}
    tuning = {"data": "sums.jsonl", "recipe": {"learning_rate": 1e-2, "steps": 3, "rank": 2}}
    local = small_study(tmp_path / "local", model_path, tuning=tuning, **pairs)
    engine = {"name": "vllm", "adapters": "merged", **OPTIONS}
    vllm = small_study(tmp_path / "vllm", model_path, tuning=tuning, engine=engine, **pairs)
    expected, found = answers(local, tmp_path / "a"), answers(vllm, tmp_path / "b")
    assert found == expected
    assert len(found) == 8
    made = json.loads((tmp_path / "b" / "results.json").read_text("utf-8"))
    assert made["provenance"]["engine"]["name"] == "vllm"
    assert "(vllm " in made["provenance"]["engine"]["version"]
