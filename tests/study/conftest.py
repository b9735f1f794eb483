"""One tiny random model for all tests of this room."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.study.studies import small_model


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_model(tmp_path_factory.mktemp("base"))
