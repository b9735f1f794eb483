"""Every study that the repository ships loads; the smallest ones run through the code a 7B model takes."""

from __future__ import annotations

import importlib.util
import json
import shutil
import warnings
from pathlib import Path
from types import ModuleType

import pytest

from puretune.lab.offers import demo_study
from puretune.study import Study, find_study, named_study, run_study, study_head, study_names

ROOT = Path(__file__).parent.parent
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
GSM8K = ROOT.parent / "shared" / "data"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_config_loads_under_its_own_name(path: Path) -> None:
    """Links lead to packaged studies from where they were before, some under another name."""
    assert path.is_symlink() or Study.load(path).name == path.stem
    assert Study.load(path)


def test_the_packaged_studies_load() -> None:
    assert {"lab-demo", "first-steps", "paper/llama-gsm8k"} <= set(study_names())
    for name in study_names():
        assert named_study(name).name == name.replace("/", "-")


@pytest.mark.parametrize("name", study_names())
def test_every_named_study_says_what_it_asks_and_what_it_costs(name: str) -> None:
    asks, cost = study_head(find_study(name))
    assert len(asks) > 40
    assert cost


def test_paths_in_a_shipped_study_are_those_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    suite = named_study("paper/gcg").suites[0]
    assert getattr(suite, "path", None) == tmp_path / "gcg.json"


def test_the_whole_matrix_is_the_demos_model_data_and_recipe() -> None:
    full, demo = named_study(demo_study(full=True)), named_study("lab-demo")
    assert full.name == "lab-demo-full"
    assert full.tuning
    assert demo.tuning
    assert (full.model, full.note) == (demo.model, demo.note)
    assert (full.tuning.data, full.tuning.recipe) == (demo.tuning.data, demo.tuning.recipe)
    assert len(resolved_cells(full)) == 6 * 5
    assert len(resolved_cells(demo)) == 3 * 3


def test_first_steps_are_the_demos_model_and_recipe() -> None:
    first, demo = named_study("first-steps"), named_study("lab-demo")
    assert (first.model, first.tuning) == (demo.model, demo.tuning)
    assert {"chat:vanilla -> chat:vanilla", "chat:vanilla -> chat:llama", "chat:llama -> chat:llama"} <= {
        f"{way.name} -> {template.name}" for way, template in resolved_cells(first)
    }


def test_the_study_on_gsm8k_text_runs_with_a_small_random_llama(tmp_path: Path) -> None:
    data = GSM8K if (GSM8K / "gsm8k_train.jsonl").is_file() else None
    if data is None:
        warnings.warn("GSM8K is not beside the repository: running on a sample in its format", stacklevel=1)
    said = gsm8k_smoke().prepare(tmp_path / "runs" / "gsm8k-smoke", data)
    assert ("sample" in said) == (data is None)
    config = tmp_path / "configs" / "gsm8k-smoke.yaml"
    config.parent.mkdir()
    shutil.copyfile(ROOT / "configs" / "gsm8k-smoke.yaml", config)

    matrix = run_study(Study.load(config), tmp_path / "out")

    places = {(c.condition, c.test_template) for c in matrix.cells if c.metric == "exact_match"}
    assert places == {
        ("untuned", "chat:vanilla"),
        ("chat:vanilla", "chat:vanilla"),
        ("chat:vanilla", "chat:llama"),
        ("chat:llama", "chat:llama"),
    }
    assert all(c.n == 16 for c in matrix.cells)
    answers = [json.loads(line) for line in (tmp_path / "out" / "answers.jsonl").open()]
    assert len(answers) == 4 * 16


def resolved_cells(study: Study) -> tuple:  # type: ignore[type-arg]
    from puretune.study import plan_study

    return plan_study(study).resolved.cells


def gsm8k_smoke() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gsm8k_smoke", ROOT / "examples" / "gsm8k_smoke.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
