"""Engines by name: their options are checked before anything is started, and stand in the key."""

from __future__ import annotations

import pytest

from puretune.errors import InputError
from puretune.inference import LocalEngine, LocalSpec, engine_spec


def test_the_local_engine_is_described_without_being_started() -> None:
    spec = engine_spec("local", {"batch_size": 16})
    assert spec == LocalSpec(batch_size=16)
    assert spec.identity() == {
        "name": "local",
        "version": LocalEngine.version,
        "batch_size": 16,
        "batch_tokens": None,
        "plain": True,
        "share_prefix": True,
        "refill": True,
    }


def test_an_unknown_engine_is_named_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"unknown engine 'locl'\. Did you mean 'local'\?"):
        engine_spec("locl")


def test_an_unknown_option_is_named_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"engine 'local': unknown option 'batch_sise'.*'batch_size'"):
        engine_spec("local", {"batch_sise": 3})


@pytest.mark.parametrize("value", [0, -1])
def test_an_option_out_of_range_is_named(value: int) -> None:
    with pytest.raises(InputError, match=r"batch_size: .* at least 1"):
        engine_spec("local", {"batch_size": value})


def test_an_option_of_the_wrong_type_is_named() -> None:
    with pytest.raises(InputError, match=r"engine 'local': batch_size: .*\(given: 'many'\)"):
        engine_spec("local", {"batch_size": "many"})
