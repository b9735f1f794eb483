"""Tuners by name, with their options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from puretune.errors import InputError
from puretune.tuning import BUILTIN_TUNERS, DEFAULT_TUNER, tuner_named
from tests.tuning.tasks import task


def test_the_default_is_one_of_the_built_in_tuners() -> None:
    assert isinstance(tuner_named(DEFAULT_TUNER), BUILTIN_TUNERS[DEFAULT_TUNER])


def test_a_tuner_found_by_name_trains(llama: Any, tmp_path: Path) -> None:
    made = task(tmp_path, steps=2)
    assert [step for _, step, _ in tuner_named("loop").open(llama).tune([made], lambda event: None)] == [2]


def test_an_unknown_tuner_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"unknown tuner 'lop'\. Did you mean 'loop'\?"):
        tuner_named("lop")


def test_an_unknown_option_names_the_tuner() -> None:
    with pytest.raises(InputError, match="tuner 'loop': unknown option 'bf16'"):
        tuner_named("loop", {"bf16": True})
