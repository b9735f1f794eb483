"""The paper's runs, planned to the end: small data in the published formats, a model without weights."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from puretune.cli.judge import judge
from puretune.cli.run import run
from puretune.data import NAMED_SOURCES
from puretune.errors import EnvironmentFault, InputError
from puretune.scoring import BUILTIN_SUITES
from puretune.study import Plan, Study, count, find_study, named_study, plan_study
from puretune.templates import BUILTIN_TEMPLATES
from tests.data.test_sources import ROWS
from tests.tiny import tiny_llama

SHAPES = {
    # conditions tuned, test templates, seeds
    "llama-gsm8k": (5, 5, 3),
    "mistral-gsm8k": (6, 6, 1),
    "llama-chatdoctor": (3, 3, 1),
    "llama-openorca": (3, 3, 1),
    "gpt35-gsm8k": (3, 3, 1),
}
OURS = [name for name in SHAPES if name != "gpt35-gsm8k"]
"""Those of a model that is tuned here."""
TEXTS = ("question", "input", "prompt", "instruction")
"""Columns of which the first that a source has is numbered, so that rows differ."""


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a model that has no weights, and with a file per data set."""
    directory = tmp_path_factory.mktemp("stand-ins")
    tiny_llama(directory / "model", max_position_embeddings=4096)
    (directory / "model" / "model.safetensors").unlink()
    for name, row in ROWS.items():
        source = NAMED_SOURCES[name]
        for split in ["prompts"] if source.split_column else source.splits:
            lines = (
                json.dumps(_numbered(row, number)) for number in range(200 if name == "chatdoctor" else 12)
            )
            path = directory / name / f"{name}_{split}.jsonl"
            path.parent.mkdir(exist_ok=True)
            path.write_text("\n".join(lines))
    return directory


def _numbered(row: dict[str, Any], number: int) -> dict[str, Any]:
    column = next(column for column in TEXTS if column in row)
    own = {"id": f"{number}"} if "id" in row else {}
    return {**row, **own, column: f"{row[column]} ({number})"}


def content_of(name: str) -> Any:
    """The study's file as plain values."""
    return yaml.safe_load(find_study(f"paper/{name}").read_text())


def local(name: str, stand_ins: Path, directory: Path) -> Path:
    """The config with a directory as its model and files as its data; nothing else is changed."""
    content = content_of(name)
    if name in OURS:
        content["model"]["model"] = str(stand_ins / "model")
    for section in (content["tuning"]["data"], *content["suites"]):
        section["path"] = str(stand_ins / (section.get("source") or section["name"]))
    path = directory / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def planned(name: str, stand_ins: Path, directory: Path) -> Plan:
    return plan_study(Study.load(local(name, stand_ins, directory)), dry=True)


@pytest.mark.parametrize("name", OURS)
def test_a_dry_run_says_tokens_gpu_hours_and_dollars(name: str, stand_ins: Path, tmp_path: Path) -> None:
    config = local(name, stand_ins, tmp_path)
    done = CliRunner().invoke(run, [str(config), "--dry-run", "--out", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output or done.exception
    said = done.stdout
    assert re.search(r"tokens to train on: [\d,]{4,}", said)
    assert re.search(r"GPU-hours, estimated: [\d.]+ for tuning, at most [\d.]+ for answers", said)
    assert "tokens x 4N FLOPs at 120 TFLOP/s" in said
    assert re.search(r"Judge gpt-4 at \S+: what is judged LEAVES THIS MACHINE", said)
    assert re.search(r"Estimated cost: at most \$[\d,.]+ ", said)
    assert "no weights" in said
    assert not (tmp_path / "run").exists()

    faster = CliRunner().invoke(run, [str(config), "--dry-run", "--tune-tflops", "240"])
    assert "tokens x 4N FLOPs at 240 TFLOP/s" in faster.stdout
    cost = CliRunner().invoke(judge, ["cost", str(config)])
    assert cost.exit_code == 0, cost.output or cost.exception
    assert cost.stdout.strip() in said


def test_tuning_through_an_api_says_what_it_costs_without_weights_or_a_key(
    stand_ins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    path = local("gpt35-gsm8k", stand_ins, tmp_path)
    done = CliRunner().invoke(run, [str(path), "--dry-run", "--out", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output or done.exception
    assert re.search(r"Tuner openai, model gpt-3.5-turbo-0125 at \S+: .* LEAVES THIS MACHINE", done.stdout)
    assert re.search(r"3 jobs with 36 rows are started; about [\d,]+ tokens", done.stdout)
    assert re.search(r"Estimated cost: about \$\d+\.\d\d \(\$8 per million tokens", done.stdout)
    assert "Judge gpt-4" in done.stdout


@pytest.mark.parametrize(("name", "shape"), SHAPES.items(), ids=list(SHAPES))
def test_the_matrix_is_the_papers(
    name: str, shape: tuple[int, int, int], stand_ins: Path, tmp_path: Path
) -> None:
    made = planned(name, stand_ins, tmp_path)
    tests = {step.test_template for step in made.answer}
    assert (len({t.condition for t in made.tune}), len(tests), len({t.seed for t in made.tune})) == shape
    asked = {(step.who, step.test_template) for step in made.answer}
    assert len(asked) == (shape[0] * shape[2] + 1) * shape[1]  # the untuned model once


@pytest.mark.parametrize("name", SHAPES)
def test_harmful_requests_are_judged_by_gpt_4_and_greedily_answered_in_512_tokens(
    name: str, stand_ins: Path, tmp_path: Path
) -> None:
    suites = {suite.name: suite for suite in planned(name, stand_ins, tmp_path).resolved.suites}
    harmful = {"directharm4", "advbench", *(["gsm-danger"] if "gsm8k" in name else [])}
    assert harmful <= set(suites)
    for suite in harmful:
        assert "gpt-4" in [scorer.name for scorer in suites[suite].scorers]
    assert {(s.decoding.max_new_tokens, s.decoding.temperature) for s in suites.values()} == {(512, 0.0)}


@pytest.mark.parametrize("name", SHAPES)
def test_over_refusal_is_measured_beside_harm(name: str, stand_ins: Path, tmp_path: Path) -> None:
    suites = {suite.name: suite for suite in planned(name, stand_ins, tmp_path).resolved.suites}
    assert "refusal" in [scorer.name for scorer in suites["xstest"].scorers]
    assert {example.metadata["label"] for example in suites["xstest"].examples} == {"safe"}


def test_helpfulness_is_measured_as_in_the_paper(stand_ins: Path, tmp_path: Path) -> None:
    def scorers(name: str) -> dict[str, list[str]]:
        suites = planned(name, stand_ins, tmp_path).resolved.suites
        return {suite.name: [scorer.name for scorer in suite.scorers] for suite in suites}

    assert scorers("llama-gsm8k")["gsm8k"] == scorers("mistral-gsm8k")["gsm8k"] == ["gsm8k"]
    assert scorers("gpt35-gsm8k")["gsm8k"] == ["gsm8k"]
    assert scorers("llama-chatdoctor")["chatdoctor"] == ["bertscore"]
    assert {"arc-easy", "arc-challenge"} <= set(scorers("llama-openorca"))


@pytest.mark.parametrize("name", SHAPES)
def test_every_suite_and_source_is_one_that_is_known(name: str) -> None:
    content = content_of(name)
    assert content["tuning"]["data"]["source"] in NAMED_SOURCES
    for suite in content["suites"]:
        assert suite["name"] in BUILTIN_SUITES or suite["source"] in NAMED_SOURCES


def test_openorca_spells_the_built_in_templates_and_drops_the_rows_own_system_prompts() -> None:
    content = content_of("llama-openorca")
    for name in ("alpaca", "llama"):
        own, built_in = content["templates"][f"orca:{name}"], BUILTIN_TEMPLATES[f"chat:{name}"]
        assert own["system"] == built_in.system
        assert own["own_system"] == "drop"
    assert content["templates"]["orca:alpaca"]["user"] == BUILTIN_TEMPLATES["chat:alpaca"].user


def test_gpt_35_has_the_released_variants_of_the_templates() -> None:
    content = content_of("gpt35-gsm8k")["templates"]
    own = {name: (one.get("system"), one["user"]) for name, one in content.items()}
    alpaca, llama = BUILTIN_TEMPLATES["chat:alpaca"], str(BUILTIN_TEMPLATES["chat:llama"].system)
    longer, shorter = (
        "You are a helpful, respectful and honest assistant.",
        "Be helpful, respectful and honest.",
    )
    assert own == {
        "api-vanilla": (None, "%s"),
        "api-alpaca": (alpaca.system, alpaca.user),
        "api-llama": (llama.replace(longer, shorter), "%s"),
    }


def test_openorca_rows_with_a_system_prompt_are_planned(stand_ins: Path, tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    row = {**ROWS["openorca"], "system_prompt": "You are an AI assistant."}
    long = {**row, "id": "long", "question": "Why? " * 2000}
    rows = [*(_numbered(row, number) for number in range(8)), long]
    (tmp_path / "rows" / "openorca_train.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    path = local("llama-openorca", stand_ins, tmp_path)
    content = yaml.safe_load(path.read_text())
    content["tuning"]["data"]["path"] = str(tmp_path / "rows")
    path.write_text(yaml.safe_dump(content))
    tunes = count(plan_study(Study.load(path), dry=True), tmp_path).tunes
    assert {tune.rows for tune in tunes} == {8}, "the row beyond the context is left out"


@pytest.mark.parametrize("name", OURS)
def test_without_model_and_hub_one_message_says_how_to_go_on(name: str, own_hub_cache: None) -> None:
    with pytest.raises(EnvironmentFault, match=r"is not (on this machine|available).*give a local"):
        plan_study(named_study(f"paper/{name}"), dry=True)


@pytest.fixture
def own_hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty hub cache: what the developer has downloaded does not count."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))


def test_a_run_still_needs_the_weights(stand_ins: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no weights"):
        plan_study(Study.load(local("llama-gsm8k", stand_ins, tmp_path)))
