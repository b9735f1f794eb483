"""``puretune compare-strategies``: from a model and rows, or from a study, to a ranking."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from puretune.cli.compare_strategies import compare_strategies
from puretune.data import SourceSpec
from puretune.errors import InputError
from puretune.lab.sources import doctor
from puretune.start import draft, only, smaller, strategies_study
from puretune.study import Study, load_results, named_study
from tests.study.studies import small_model


def invoke(*args: object) -> Result:
    return CliRunner().invoke(compare_strategies, [str(arg) for arg in args], catch_exceptions=False)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_model(tmp_path_factory.mktemp("base"))


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Complaints of the lab's doctor as a user's file."""
    file = tmp_path / "mine.jsonl"
    examples = doctor(SourceSpec("lab-doctor", split="train"), None)[:60]
    lines = ({"prompt": one.query, "completion": one.reference} for one in examples)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def test_strategies_of_ones_own_model_and_rows(rows: Path) -> None:
    found = strategies_study(draft("lab", rows), "mine")
    names = [one if isinstance(one, str) else one.name for one in found.study.strategies]
    assert {"untuned", "same-template", "ptst", "adapter-scaling", "tuned-learning-rate"} <= set(names)
    assert "name the base model before its alignment" in found.left_out["safe-lora"]
    assert {"safety-mix", "interpolation"} <= set(found.left_out)
    suites = [one if isinstance(one, str) else one.name for one in found.study.suites]
    assert suites[0] == "mine"
    assert "lab-harmful" in suites


def test_without_harmful_requests_it_says_how_to_name_them(rows: Path, model: Path) -> None:
    with pytest.raises(InputError, match=r"no suite asks for harm.*--harmful FILE"):
        strategies_study(draft(str(model), rows, look_for_harm=False), "mine")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "give --model and --data, or a study file or name"),
        (["zoo", "--model", "lab"], "--model and a study"),
        (["first-steps"], "has 0 strategies that tune. Name two or more"),
        (["zoo", "--strategies", "untuned,ptst"], "has 1 strategies that tune. Name two or more"),
        (["zoo", "--strategies", "pst"], "unknown strategy 'pst'. Did you mean 'ptst'"),
        (["no-such-study"], "no study 'no-such-study'"),
    ],
)
def test_what_cannot_be_compared_says_what_to_do(args: list[str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        invoke(*args, "--dry-run")
    assert message in str(caught.value)


def test_a_smoke_run_is_one_seed_and_few_prompts() -> None:
    zoo = named_study("zoo")
    small = smaller(zoo)
    assert small.name == "zoo-smoke"
    assert small.tuning is not None
    assert len(small.tuning.seeds) == 1
    assert [getattr(one, "limit", None) for one in small.suites] == [40] * len(zoo.suites)
    assert small.strategies == zoo.strategies


def test_chosen_strategies_keep_the_studys_options() -> None:
    (mix, plain) = only(named_study("zoo"), ["safety-mix", "ema"]).strategies
    assert not isinstance(mix, str)
    assert mix.options()["source"] == "lab-harmful"
    assert plain == "ema"


def study(tmp_path: Path, **more: Any) -> Path:
    fields: dict[str, Any] = {
        "name": "tiny",
        "model": "lab",
        "tuning": {
            "data": "lab-doctor",
            "recipe": {"learning_rate": 1e-3, "steps": 4, "batch_size": 2, "keep": [2]},
        },
        "strategies": ["untuned", "same-template", {"name": "early-stopping", "every": 3}, "ptst"],
        "suites": [{"name": "lab-benign-twins", "limit": 4}, {"name": "lab-harmful", "limit": 4}],
        "decoding": {"max_new_tokens": 8},
        "analysis": {"helpfulness": 0.5},
        **more,
    }
    file = tmp_path / "tiny.yaml"
    file.write_text(json.dumps(fields))
    return file


def test_a_ranking_is_printed_and_kept_with_each_way_to_serve_once(
    tmp_path: Path,
) -> None:
    out = tmp_path / "run"
    shown = invoke(study(tmp_path), "--out", out, "--executor", "local", "--quiet").output
    ranking = load_results(out).ranking
    assert ranking is not None
    assert ranking.level == 0.5
    assert {one.name for one in ranking.strategies} == {"same-template", "ptst"}
    assert "No strategy reaches 50.0 % helpfulness" in " ".join(shown.split())
    assert "## Strategies at the same helpfulness" in (out / "report.md").read_text()


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    file = study(tmp_path, suites=[{"name": "lab-harmful", "limit": 4}])
    out = tmp_path / "run"
    shown = invoke(file, "--out", out, "--dry-run", "--seeds", 2).output
    assert "same-template" in shown
    assert not out.exists()
    assert Study.load(file).tuning
