"""Keys: same inputs, same key; different inputs, different key."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from puretune.store import canonical, key_of

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
mappings = st.dictionaries(st.text(), values, max_size=4)


@settings(deadline=None)
@given(mappings)
def test_the_order_of_keys_does_not_matter(inputs: dict[str, Any]) -> None:
    assert key_of(dict(reversed(list(inputs.items())))) == key_of(inputs)


@settings(deadline=None)
@given(mappings, mappings)
def test_keys_are_equal_exactly_when_the_canonical_forms_are(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert (key_of(one) == key_of(other)) == (canonical(one) == canonical(other))


@settings(deadline=None)
@given(mappings)
def test_the_canonical_form_says_everything(inputs: dict[str, Any]) -> None:
    assert json.loads(canonical(inputs)) == inputs


@settings(deadline=None)
@given(mappings, st.text(), scalars)
def test_one_more_input_is_another_key(inputs: dict[str, Any], name: str, value: Any) -> None:
    if name not in inputs:
        assert key_of({**inputs, name: value}) != key_of(inputs)


@dataclass(frozen=True)
class _Setting:
    rate: float
    names: tuple[str, ...]


def test_dataclasses_and_tuples_count_as_mappings_and_lists() -> None:
    assert canonical({"a": _Setting(0.5, ("x",))}) == '{"a":{"names":["x"],"rate":0.5}}'


def test_a_key_is_the_same_on_every_machine() -> None:
    spelled = b'{"a":"\\u00e9","b":[1,2.5,null]}'
    assert key_of({"b": [1, 2.5, None], "a": "é"}) == hashlib.sha256(spelled).hexdigest()


@pytest.mark.parametrize("value", [Path("x"), {1, 2}, b"x", {1: 2}])
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        key_of({"a": value})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_json_cannot_say_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        key_of({"a": value})
