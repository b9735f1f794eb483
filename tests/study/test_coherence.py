"""Coherence in a study: measured under the study's own untuned base, with a lexicon of the user's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from puretune.errors import InputError
from puretune.models import ModelSpec, load_base
from puretune.scoring import perplexity_meter
from puretune.study import Study, plan_study, run_study
from tests.study.studies import small_study


def study(directory: Path, model: Path, **coherence: Any) -> Study:
    suite = {
        "name": "sums",
        "source": "sums.jsonl",
        "scorers": [{"judge": "coherence", **coherence}],
        "max_new_tokens": 6,
    }
    usual = {"train": ["untuned"], "test": ["CV"], "tuning": None, "suites": [suite]}
    return Study.load(small_study(directory, model, **usual))


def test_a_perplexity_limit_is_one_under_the_studys_base(tmp_path: Path, model: Path) -> None:
    (tmp_path / "words.json").write_text('["only", "these"]')
    matrix = run_study(study(tmp_path, model, perplexity=1.5, lexicon="words.json"), tmp_path / "run")
    verdicts, answers = (
        [json.loads(line) for line in (tmp_path / "run" / name).read_text().splitlines()]
        for name in ("verdicts.jsonl", "answers.jsonl")
    )
    meter = perplexity_meter(load_base(ModelSpec(str(model))))
    texts = [row["answer"] for row in answers]
    said = [(row, text) for row, text in zip(verdicts, texts, strict=True) if text.strip()]
    assert said
    for (row, _), value in zip(said, meter.measure([text for _, text in said]), strict=True):
        assert row["raw"]["measured"]["perplexity"] == pytest.approx(value)
        assert row["raw"]["measured"]["unknown_words"] is not None
        if value is not None and value > 1.5:
            assert row["behaviour"] == "incoherent"
            assert "perplexity" in row["raw"]["why"]
    (cell,) = matrix.cells
    assert cell.counts["incoherent"] + cell.counts["empty"] + cell.counts["unparsed"] == cell.n


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"perplexity": 0.5}, "perplexity"),
        ({"lexicon": "none.json"}, "none.json cannot be read"),
        ({"lexcon": "words.json"}, "Did you mean 'lexicon'"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, model: Path, settings: Any, said: str) -> None:
    with pytest.raises(InputError, match=r"study\.yaml:\d+: suites\[0\]") as caught:
        plan_study(study(tmp_path, model, **settings))
    assert said in str(caught.value)
