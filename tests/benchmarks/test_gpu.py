"""The GPU benchmark, tried on a CPU at a tiny shape: exact lengths, real code, meaningless seconds."""

from __future__ import annotations

from typing import Any

import pytest
from benchmarks.gpu import _answer, _tune
from benchmarks.gpu.__main__ import lines
from benchmarks.gpu._floors import answer_floor, ceilings, parameters, tune_floor
from benchmarks.gpu._shape import PREFIXES, examples, random_base, templates
from benchmarks.gpu.lengths import SAMPLES, read

from puretune.models import BaseModel, parameters_per_token


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    return random_base("tiny", "cpu", "float32", tmp_path_factory.mktemp("tiny"))


def test_the_lengths_are_gsm8ks() -> None:
    train = read("train")
    assert len(train) == SAMPLES["train"]
    assert 50 < sum(asked for asked, _ in train) / len(train) < 80
    assert all(asked > 0 and answer > 0 for asked, answer in train)


def test_prompts_and_rows_have_exactly_the_lengths_asked_for(base: BaseModel) -> None:
    pairs = [(7, 5), (30, 12)]
    size = base.model.config.vocab_size
    for template in templates(size):
        rows = [base.renderer.example(template, e.messages) for e in examples(pairs, size, answered=True)]
        prefix = PREFIXES[template.name]
        assert [len(row.ids) for row in rows] == [prefix + asked + answer for asked, answer in pairs]
        assert [sum(row.loss_mask) for row in rows] == [answer for _, answer in pairs]
        first, second = (row.ids for row in rows)
        assert first[:prefix] == second[:prefix]
        assert first[prefix] != second[prefix]


def test_floors_follow_from_size_and_ceilings(base: BaseModel) -> None:
    assert parameters(base) == parameters_per_token(base.spec)
    ceiling = {"flops": 1e9, "bytes": 1e9}
    assert tune_floor(base, 10, ceiling) == 4 * parameters(base) * 10 / 1e9
    assert answer_floor(base, 0, 8, 8, ceiling) == 2 * parameters(base) * 8 / 1e9
    assert answer_floor(base, 0, 8, 1, ceiling) == 4 * parameters(base) * 8 / 1e9
    assert all(value > 0 for value in ceilings(base).values())


def test_it_measures_tuning_and_answering(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_tune, "SEEDS", 1)
    monkeypatch.setattr(_answer, "_BATCHES", (8,))
    items: dict[str, dict[str, Any]] = {"tuning": {}, "answering": {}}
    ceiling = {"flops": 1e9, "bytes": 1e9}
    _tune.measure(base, ceiling, 1, 1, items["tuning"], lambda: None)
    _answer.measure(base, ceiling, 2, 1, items["answering"], lambda: None)
    assert items["tuning"]["work"]["adapters"] == 5
    assert not set(items["tuning"]["failed"]) - {"TRL"}
    assert not items["answering"]["failed"]
    new = items["answering"]["work"]["new_tokens"]
    assert new == 5 * sum(answer for _, answer in read("test")[:2])
    assert {runs[0]["new_tokens"] for runs in items["answering"]["runs"].values()} == {new}
    settings = {"shape": "tiny"}
    said = "\n".join(lines({"settings": settings, "parameters": parameters(base), "items": items}))
    assert "tuning: puretune" in said
    assert "fifteen adapters in" in said
    assert "answering: generate, batch 8:" in said
