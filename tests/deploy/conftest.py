"""A finished run of a tiny model, and an export of it, made once for all tests of this room."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from puretune.deploy import export, measured
from puretune.study import Study, run_study
from tests.study.studies import small_model, small_study


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untuned and CV, each tested under CV and CL; CL is trained and tested under itself only."""
    directory = tmp_path_factory.mktemp("shipping")
    study = small_study(
        directory / "study",
        small_model(directory),
        tuning={
            "data": "sums.jsonl",
            "recipe": {"learning_rate": 1e-2, "steps": 2, "rank": 2},
            "seeds": [0, 1],
        },
        train=None,
        test=None,
        pairs=["untuned -> CV", "CV -> CV", "CV -> CL", "CL -> CL"],
    )
    run_study(Study.load(study), directory / "run")
    return directory / "run"


@pytest.fixture(scope="session")
def shipped(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CV served as CL. Tests leave it as it is."""
    return export(measured(run, "CV", "CL"), tmp_path_factory.mktemp("shipped") / "ship").path


@pytest.fixture
def copy(shipped: Path, tmp_path: Path) -> Path:
    """An export to be damaged."""
    return Path(shutil.copytree(shipped, tmp_path / "ship"))
