"""For all tests: one thread, no network, no colours, and no cache outside the test's own directories."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# Two test processes share two cores with whatever else runs: a slow example is no failure. In CI the examples
# are always the same ones, so that a change is judged by what it changes; elsewhere new ones are tried.
settings.register_profile("puretune", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("puretune")
os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", OMP_NUM_THREADS="1", NO_COLOR="1")


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.delenv("PURETUNE_STORE", raising=False)
    monkeypatch.setenv("PURETUNE_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
