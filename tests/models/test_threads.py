"""CPU threads: one for small models, the usable cores for others, unless somebody says otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from puretune.models import ModelSpec, _hardware, resolved_threads
from puretune.models._hardware import usable_cores


@pytest.fixture
def eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_hardware, "_physical_cores", lambda: 8)
    monkeypatch.setattr(_hardware, "_quota", lambda: None)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@pytest.mark.usefixtures("eight")
def test_a_small_model_takes_one(llama_path: Path) -> None:
    assert resolved_threads(ModelSpec(str(llama_path))) == 1


@pytest.mark.usefixtures("eight")
def test_a_larger_one_takes_the_cores(llama_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_hardware, "SMALL_MODEL", 1)
    assert resolved_threads(ModelSpec(str(llama_path))) == 8
    assert resolved_threads(ModelSpec(str(llama_path), threads=3)) == 3


@pytest.mark.usefixtures("eight")
@pytest.mark.parametrize(("said", "threads"), [("2", 2), ("64", 8), ("4,2", 4), ("x", 8), ("0", 1)])
def test_the_usual_variable_lowers_them(said: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert usable_cores() == threads


@pytest.mark.parametrize(("text", "cores"), [("150000 100000", 2), ("50000 100000", 1), ("max 100000", None)])
def test_a_quota_of_the_control_group_counts(text: str, cores: int | None, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text(text + "\n")
    assert _hardware._quota(tmp_path) == cores
