"""The JSON Schema that editors use."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
import yaml

from puretune.study import json_schema
from tests.study.studies import STUDY

SCHEMA = json_schema()


def test_the_schema_is_valid_and_accepts_a_study() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(STUDY, SCHEMA)


@pytest.mark.parametrize(
    "change", [{"modle": "lab"}, {"suites": []}, {"tuning": {"data": "a", "recipe": {"rnk": 1}}}]
)
def test_the_schema_refuses_what_the_study_would(change: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**STUDY, **change}, SCHEMA)


def test_the_schema_accepts_every_way_to_write_a_part() -> None:
    text = """
    name: all
    model: {path: ./m, dtype: float32, threads: 1}
    templates: {calm: {mode: text, user: "Q: %s"}}
    tuning: {data: [a.jsonl, {source: b.jsonl, template: CV, weight: 0.5}], seeds: [1]}
    train: [untuned, {template: CV, start: ./a, name: b}, {checkpoint: ./c, name: d},
        {adapter: ./e, name: f, transforms: [mine, {name: scale, alpha: 2}]}]
    pairs: [CV -> CL]
    suites: [gsm8k, {name: gsm8k, limit: 3}]
    decoding: {temperature: 0.7, n: 2}
    """
    jsonschema.validate(yaml.safe_load(text), SCHEMA)


def test_every_field_is_described() -> None:
    sections = [SCHEMA, *SCHEMA["$defs"].values()]
    bare = [
        f"{section['title']}.{name}"
        for section in sections
        for name, field in section["properties"].items()
        if not field.get("description")
    ]
    assert not bare
