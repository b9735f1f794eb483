"""A study whose answers come from an endpoint: agreed to first, no weights here, nothing asked twice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from puretune.cli.run import run as run_command
from puretune.errors import EnvironmentFault, InputError
from puretune.scoring import Judge
from puretune.study import Study, plan_study, run_study
from tests.scoring.judges.server import Judging, fine, serving, status
from tests.study.studies import small_study
from tests.tuning.openai.server import providing

REMOTE = {"data": "sums.jsonl", "tuner": "openai"}


@pytest.fixture
def server() -> Iterator[Judging]:
    with serving(Judging(model="gpt-2026")) as judging:
        judging.reply = lambda user: f"#### {len(user)}"
        yield judging


def written(tmp_path: Path, base: Path, url: str, **changes: Any) -> Path:
    usual: dict[str, Any] = {
        "model": "gpt-3.5-turbo-0125",
        "engine": {"name": "openai", "base_url": url, "limits": {"tries": 1}, "concurrency": 1},
        "tuning": None,
        "train": ["untuned", {"name": "mine", "served": "ft:gpt:mine"}],
        "test": ["CV", "CL"],
    }
    return small_study(tmp_path, base, **{**usual, **changes})


def test_turns_are_sent_to_the_base_and_to_served_models(
    tmp_path: Path, model: Path, server: Judging
) -> None:
    matrix = run_study(Study.load(written(tmp_path, model, server.url)), tmp_path / "run")
    assert len(server.requests) == 2 * 2 * 4
    assert {body["model"] for body in server.requests} == {"gpt-3.5-turbo-0125", "ft:gpt:mine"}
    systems = [body["messages"][0]["role"] == "system" for body in server.requests]
    assert sum(systems) == 8, "chat:llama has a system prompt, chat:vanilla none"
    rows = [json.loads(line) for line in (tmp_path / "run" / "answers.jsonl").read_text().splitlines()]
    assert {row["reported"] for row in rows} == {"gpt-2026"}
    facts = matrix.provenance
    assert facts["reported_models"] == {"gpt-2026": 16}
    assert facts["engine"]["base_url"] == server.url
    assert facts["templates"]["chat:vanilla"]["rendering"] == "[user]\nQuestion: 0 plus 0?\n"


def test_a_stopped_study_asks_for_nothing_twice(tmp_path: Path, model: Path, server: Judging) -> None:
    study = Study.load(written(tmp_path, model, server.url))
    server.faults, server.always = [fine] * 6, status(502)
    with pytest.raises(EnvironmentFault, match="it answers 502"):
        run_study(study, tmp_path / "run")
    server.always = None
    assert server.asked == 7
    run_study(study, tmp_path / "run")
    assert server.asked == 7 + 10
    run_study(study, tmp_path / "run")
    assert server.asked == 7 + 10


def test_a_request_that_the_endpoint_refuses_counts_for_nothing_and_is_counted(
    tmp_path: Path, model: Path, server: Judging
) -> None:
    too_long = {"message": "too long", "code": "context_length_exceeded"}
    server.faults = [status(400, {"error": too_long})] * 2
    file = written(tmp_path, model, server.url, train=["untuned"], test=["CV"])
    matrix = run_study(Study.load(file), tmp_path / "run")
    counts = [cell.counts for cell in matrix.cells]
    assert counts
    assert all((count["errors"], count["unparsed"]) == (2, 2) for count in counts)
    assert all(count["empty"] == 0 for count in counts)
    verdicts = [json.loads(line) for line in (tmp_path / "run" / "verdicts.jsonl").read_text().splitlines()]
    wrong = [row for row in verdicts if row["raw"].get("error")]
    assert len(wrong) == 2 * len({row["scorer"] for row in verdicts})
    assert all(row["parse"] == "unparsed" and not any(row["values"].values()) for row in wrong)


def test_a_name_at_an_endpoint_is_never_a_path(tmp_path: Path, model: Path, server: Judging) -> None:
    for name in ("gpt-3.5-turbo-0125", "judge-model"):
        (tmp_path / name).mkdir()
    judge = {"judge": "openai", "model": "judge-model", "base_url": server.url, "extra": {"path": "x"}}
    for named in ("gpt-3.5-turbo-0125", "./gpt", "../../etc", "~nobody/x"):
        study = Study.load(written(tmp_path, model, server.url, model=named))
        asked = plan_study(study, dry=True).resolved.base.spec.model
        assert asked == named
    suites = [{"name": "s", "source": "sums.jsonl", "scorers": [judge]}]
    study = Study.load(written(tmp_path, model, server.url, suites=suites))
    ((scorer,),) = [suite.scorers for suite in plan_study(study, dry=True).resolved.suites]
    assert isinstance(scorer, Judge)
    assert (scorer.spec.model, scorer.spec.extra) == ("judge-model", {"path": "x"})


def test_prompts_go_nowhere_unasked(tmp_path: Path, model: Path) -> None:
    study = written(tmp_path, model, "https://api.example/v1")
    with pytest.raises(InputError, match=r"Engine openai at https://api\.example/v1: .* LEAVES THIS MACHINE"):
        run_study(Study.load(study), tmp_path / "run")
    shown = CliRunner().invoke(run_command, [str(study), "--dry-run", "--out", str(tmp_path / "run")])
    assert "At most 16 prompts are sent to gpt-3.5-turbo-0125" in shown.output
    assert "answers to generate: 16 of 16" in shown.output


def test_a_template_that_an_api_cannot_have_is_named_before_anything_is_sent(
    tmp_path: Path, model: Path, server: Judging
) -> None:
    with pytest.raises(InputError, match="'text:vanilla' cannot be used through a chat API"):
        run_study(Study.load(written(tmp_path, model, server.url, test=["CV", "TV"])), tmp_path / "run")
    assert server.requests == []


def test_completions_take_token_ids_rendered_here(tmp_path: Path, model: Path, server: Judging) -> None:
    engine = {"name": "openai", "kind": "completions", "model": "served", "base_url": server.url}
    study = written(
        tmp_path, model, server.url, model="./model", engine=engine, train=["untuned"], test=["TV"]
    )
    run_study(Study.load(study), tmp_path / "run")
    assert {body["model"] for body in server.requests} == {"served"}
    assert all(isinstance(token, int) for body in server.requests for token in body["prompt"])


def test_what_is_tuned_at_a_provider_is_answered_there(tmp_path: Path, model: Path) -> None:
    with providing() as provider:
        provider.reply = lambda user: f"#### {len(user)}"
        tuner = {"name": "openai", "base_url": provider.url, "poll_seconds": 0.01}
        tuning = {"data": "sums.jsonl", "recipe": {"epochs": 1, "batch_size": 2}, "tuner": tuner}
        study = written(tmp_path, model, provider.url, tuning=tuning, train=["untuned", "CV"])
        shown = CliRunner().invoke(run_command, [str(study), "--dry-run", "--out", str(tmp_path / "run")])
        assert "1 job with 6 rows are started" in shown.output
        assert "tokens at the endpoint, estimated:" in shown.output
        run_study(Study.load(study), tmp_path / "run")
        asked = Counter(body["model"] for body in provider.requests if "messages" in body)
    (tuned,) = set(asked) - {"gpt-3.5-turbo-0125"}
    assert tuned.startswith("ft:gpt-3.5-turbo-0125")
    assert asked == {"gpt-3.5-turbo-0125": 8, tuned: 8}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"engine": "local", "model": "./model"},
            "engine 'local' loads models and cannot ask for 'ft:gpt:mine'",
        ),
        ({"train": [{"name": "x", "checkpoint": "./model"}]}, "asks for models by name and cannot be given"),
        (
            {"train": ["untuned", "CV"], "tuning": {"data": "sums.jsonl"}},
            "cannot use what is tuned here",
        ),
        (
            {"suites": [{"name": "s", "source": "sums.jsonl", "scorers": ["choice-loglikelihood"]}]},
            "has none",
        ),
    ],
)
def test_what_the_engine_cannot_do_is_named_with_its_place(
    tmp_path: Path, model: Path, server: Judging, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        plan_study(Study.load(written(tmp_path, model, server.url, **changes)))
