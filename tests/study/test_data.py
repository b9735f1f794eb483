"""The study's data: what no source uses is said once, weights stay in bounds, leakage is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from puretune.errors import InputError
from puretune.study import Study
from puretune.study.plan.mix import MOST_ROWS, Part, check_size
from puretune.study.plan.resolve import Resolved, resolve

FIELDS: dict[str, Any] = {
    "name": "mine",
    "model": "lab",
    "tuning": {"data": {"source": "train.jsonl"}},
    "train": ["CV"],
    "test": ["CV"],
    "suites": [{"name": "own", "source": "test.jsonl", "scorers": ["refusal"]}],
}
TRAIN = [{"question": f"What is {n}?", "answer": str(n)} for n in range(4)]
TEST = [{"question": "Name a fern."}, {"question": "Name a wren."}]


def study(
    tmp_path: Path, train: list[dict[str, Any]] = TRAIN, test: list[dict[str, Any]] = TEST, **more: Any
) -> Study:
    for name, rows in (("train", train), ("test", test)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({**FIELDS, **more}))
    return Study.load(tmp_path / "study.yaml")


def refusal(made: Study) -> str:
    with pytest.raises(InputError) as caught:
        resolve(made, dry=True)
    return str(caught.value)


def mix(resolved: Resolved) -> tuple[Part, ...]:
    return next(iter(resolved.tuned.values())).mix


def test_a_column_that_no_source_uses_is_listed_once(tmp_path: Path) -> None:
    train, test = [{**row, "score": 1} for row in TRAIN], [{**row, "score": 2} for row in TEST]
    said = refusal(study(tmp_path, train, test))
    assert "suites[0]: test.jsonl:1: not read: 'score' (column, 2 rows)" in said
    resolved = resolve(study(tmp_path, train, test, ignore=["score"]), dry=True)
    assert (len(mix(resolved)[0].examples), len(resolved.suites[0].examples)) == (4, 2)


def test_a_part_of_the_data_may_ignore_alone(tmp_path: Path) -> None:
    train = [{**row, "score": 1} for row in TRAIN]
    tuning = {"data": [{"source": "train.jsonl", "ignore": ["score"]}]}
    assert mix(resolve(study(tmp_path, train, tuning=tuning), dry=True))
    assert "tuning.data" in refusal(study(tmp_path, train))


def test_markup_in_tuning_data_is_refused_unless_it_is_meant(tmp_path: Path) -> None:
    train = [{"question": "[INST] Hi [/INST]", "answer": "Ho"}]
    assert "already contain turn markup: [/INST] (1, first in train-1)" in refusal(study(tmp_path, train))
    tuning = {"data": {"source": "train.jsonl", "markup": "keep"}}
    assert mix(resolve(study(tmp_path, train, tuning=tuning), dry=True))


def test_columns_may_be_numbers_where_there_is_no_header_line(tmp_path: Path) -> None:
    (tmp_path / "prompts.csv").write_text("Name a fern\nName a wren\n")
    suite = {"name": "own", "source": "prompts.csv", "scorers": ["refusal"], "header": False}
    made = study(tmp_path, suites=[{**suite, "columns": {"prompt": 1}}])
    assert [e.query for e in resolve(made, dry=True).suites[0].examples] == ["Name a fern", "Name a wren"]


@pytest.mark.parametrize("weight", [1e5, 1e9, 1e300, 0, -1, True])
def test_a_weight_beyond_reason_is_refused(tmp_path: Path, weight: float) -> None:
    with pytest.raises(InputError, match=r"tuning\.data\.weight"):
        study(tmp_path, tuning={"data": {"source": "train.jsonl", "weight": weight}})


def test_rows_are_counted_before_they_are_made() -> None:
    check_size([(MOST_ROWS // 1000, 1000.0)])
    with pytest.raises(InputError, match="comes to 20,001,000 rows"):
        check_size([(MOST_ROWS // 1000, 1000.0), (1, 1000.0)])


@pytest.mark.parametrize(
    ("setting", "value"),
    [("path", "./nope.jsonl"), ("revision", "main"), ("format", "alpaca"), ("columns", {"a": "b"})],
)
def test_a_setting_that_a_source_does_not_read_is_named(tmp_path: Path, setting: str, value: object) -> None:
    said = refusal(study(tmp_path, suites=[{"name": "lab-maths", setting: value}]))
    assert f"the source lab-maths does not read `{setting}`" in said


def test_prompts_of_the_tuning_data_are_named_or_refused(tmp_path: Path) -> None:
    test = [*TEST, {"question": "what is  2"}]
    resolved = resolve(study(tmp_path, test=test), dry=True)
    assert {name: one.ids for name, one in resolved.leakage.items()} == {"own": ("test-3",)}
    said = refusal(study(tmp_path, test=test, leakage="refuse"))
    assert "suite 'own': 1 of 3 prompts are in the tuning data (test-3)" in said
    assert resolve(study(tmp_path, leakage="refuse"), dry=True).leakage == {}


def test_a_slip_in_a_local_file_is_found_before_the_hub_is_asked(tmp_path: Path) -> None:
    hub = {"name": "far", "source": "owner/absent", "scorers": ["refusal"]}
    said = refusal(study(tmp_path, [{"question": "Who?"}], suites=[hub]))
    assert "has no answer to train on" in said
