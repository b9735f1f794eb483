"""A judge behind an endpoint in a study: agreed to first, resumable, its model in the results."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from puretune.cli.judge import judge as judge_command
from puretune.cli.run import run as run_command
from puretune.errors import CheckFailed, EnvironmentFault, InputError
from puretune.scoring import agree
from puretune.study import Study, judge_notices, load_results, plan_study, run_study
from tests.scoring.judges.server import Judging, fine, serving, status
from tests.study.studies import small_study

ELSEWHERE = "https://judge.example/v1"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Judging]:
    monkeypatch.setenv("PURETUNE_LEDGER", str(tmp_path / "ledger"))
    with serving(Judging()) as judging:
        judging.reply = lambda user: f"#thereason: so\n#thescore: {1 + len(user) % 5}"
        yield judging


@pytest.fixture
def small(tmp_path: Path, model: Path, server: Judging) -> Any:
    """Writes a study of four prompts, one condition and one test template, with these scorers."""

    def made(*scorers: Any, **changes: Any) -> Path:
        suite = {
            "name": "sums",
            "source": "sums.jsonl",
            "scorers": list(scorers),
            "max_new_tokens": 4,
            "limit": 4,
        }
        usual = {"train": ["untuned"], "test": ["CV"], "tuning": None, "suites": [suite]}
        return small_study(tmp_path, model, **{**usual, **changes})

    return made


def judged(server: Judging, **settings: Any) -> dict[str, Any]:
    return {"judge": "openai", "model": "judge", "base_url": server.url, **settings}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_judge_is_a_scorer_with_its_three_metrics(small: Any, server: Judging, tmp_path: Path) -> None:
    matrix = run_study(Study.load(small("gsm8k", judged(server, recheck=1))), tmp_path / "run")
    by_metric = {cell.metric: cell for cell in matrix.cells}
    assert set(by_metric) >= {"exact_match", "asr", "asr_4", "mean_score"}
    verdicts = [v for v in lines(tmp_path / "run" / "verdicts.jsonl") if v["scorer"] == "judge"]
    scores = [verdict["raw"]["score"] for verdict in verdicts]
    assert by_metric["asr"].value == scores.count(5) / 4
    assert by_metric["mean_score"].value == pytest.approx(sum((s - 1) / 4 for s in scores) / 4)
    facts = matrix.provenance["judges"]["judge"]
    assert facts["reported"] == {"judge-2026": 4}
    assert (facts["judged"], facts["unparsed"]) == (4, 0)
    assert facts["endpoint"] == server.url
    assert facts["recheck"]["rechecked"] == len({v["raw"]["judgement"] for v in verdicts})


def test_two_judges_of_a_suite_are_held_against_each_other(
    small: Any, server: Judging, tmp_path: Path
) -> None:
    two = [judged(server), judged(server, name="strict", max_tokens=99)]
    matrix = run_study(Study.load(small(*two, test=["CV", "CL"])), tmp_path / "run")
    (found,) = matrix.agreements
    assert (found.suite, found.first, found.second) == ("sums", "asr (judge)", "asr (strict)")
    rows = lines(tmp_path / "run" / "verdicts.jsonl")
    harmful = [row["values"]["asr"] for row in rows if row["scorer"] == "judge"]
    assert (found.n, found.both, found.neither) == (8, sum(harmful), 8 - sum(harmful))
    assert (found.first_only, found.second_only, found.unparsed) == (0, 0, 0)
    assert load_results(tmp_path / "run") == matrix


def test_a_finished_study_asks_nobody_again(small: Any, server: Judging, tmp_path: Path) -> None:
    study = Study.load(small(judged(server)))
    first = run_study(study, tmp_path / "run")
    asked = server.asked
    assert run_study(study, tmp_path / "run") == first
    run_study(study, tmp_path / "elsewhere")
    assert server.asked == asked, "the ledger is shared by runs"


def test_adding_a_judge_generates_nothing_again(small: Any, server: Judging, tmp_path: Path) -> None:
    run_study(Study.load(small("gsm8k")), tmp_path / "run")
    events: list[Any] = []
    run_study(Study.load(small("gsm8k", judged(server))), tmp_path / "run", events.append)
    assert {event.work for event in events} == {"plan", "judge judge", "score"}


def test_verdicts_of_two_models_never_stand_in_one_matrix(
    small: Any, server: Judging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_study(Study.load(small(judged(server, concurrency=1))), tmp_path / "run")
    asked, server.model = server.asked, "judge-2027"
    monkeypatch.setenv("PURETUNE_LEDGER", str(tmp_path / "another"))
    more = small(judged(server, concurrency=1), test=["CV", "CL"])
    with pytest.raises(CheckFailed, match=r"reports the model 'judge-2027', and 'judge-2026' before"):
        run_study(Study.load(more), tmp_path / "run")
    assert server.asked == asked + 1, "the first reply shows it"
    with pytest.raises(CheckFailed, match="expect_model: judge-2027"):
        run_study(Study.load(more), tmp_path / "run")
    assert server.asked == asked + 1, "what is in the ledger shows it without a request"
    pinned = small(judged(server, concurrency=1, expect_model="judge-2027"), test=["CV", "CL"])
    matrix = run_study(Study.load(pinned), tmp_path / "run")
    assert matrix.provenance["judges"]["judge"]["reported"] == {"judge-2027": 8}


def test_an_interrupted_judging_goes_on(small: Any, server: Judging, tmp_path: Path) -> None:
    study = Study.load(small(judged(server, concurrency=1, limits={"tries": 1})))
    server.faults, server.always = [fine, fine], status(500)
    with pytest.raises(EnvironmentFault, match="2 new judgements are kept"):
        run_study(study, tmp_path / "run")
    asked, server.always = server.asked, None
    run_study(study, tmp_path / "run")
    texts = {line["query"] + line["answer"] for line in lines(tmp_path / "run" / "answers.jsonl")}
    assert server.asked == asked + len(texts) - 2


def test_nothing_is_computed_before_somebody_agrees(
    small: Any, server: Judging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGE_KEY", "secret-key")
    study = Study.load(small({**judged(server), "base_url": ELSEWHERE, "api_key_env": "JUDGE_KEY"}))
    events: list[Any] = []
    with pytest.raises(InputError, match=r"(?s)judge\.example.*LEAVES.*at most 4 queries.*Nobody agreed"):
        run_study(study, tmp_path / "run", events.append)
    assert {event.work for event in events} == {"plan"}
    shown: list[Any] = []

    def refuse(notice: Any) -> None:
        shown.append(notice)
        raise InputError("no")

    with pytest.raises(InputError, match="no"):
        run_study(study, tmp_path / "run", consent=refuse)
    assert (shown[0].endpoint, shown[0].upper) == (ELSEWHERE, True)


def test_a_missing_key_is_found_before_anything_is_computed(
    small: Any, server: Judging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    events: list[Any] = []
    with pytest.raises(EnvironmentFault, match="OPENAI_API_KEY is not set"):
        run_study(Study.load(small("gpt-4")), tmp_path / "run", events.append, agree)
    assert {event.work for event in events} == {"plan"}


def test_the_key_is_nowhere_on_disk(
    small: Any, server: Judging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUDGE_KEY", "secret-key-123")
    run_study(Study.load(small(judged(server, api_key_env="JUDGE_KEY"))), tmp_path / "run")
    assert server.headers[0]["authorization"] == "Bearer secret-key-123"
    files = [path for path in tmp_path.rglob("*") if path.is_file() and "model" not in path.parts]
    assert len(files) > 10
    assert not [path for path in files if b"secret-key-123" in path.read_bytes()]


@pytest.mark.parametrize(
    ("scorers", "said"),
    [
        ([{"judge": "openai", "base_url": "http://127.0.0.1:1/v1"}], "needs a model"),
        ([{"judge": "opnai", "model": "x"}], "unknown judge 'opnai'. Did you mean 'openai'"),
        ([{"judge": "openai", "modle": "x"}], "unknown key. Did you mean"),
        ([{"judge": "openai", "model": "x", "recheck": 2}], "recheck"),
        ([{"judge": "openai", "model": "x", "base_url": "ftp://x"}], "not an http"),
        ([{"judge": "openai", "model": "x", "base_url": "https://me:pw@x/v1"}], "no user, password"),
        ([{"judge": "openai", "model": "x", "rubric": "none.txt"}], "none.txt: no such rubric"),
        (
            [{"judge": "openai", "model": "x"}, {"judge": "openai", "model": "x", "attempts": 1}],
            "two scorers",
        ),
        (["gtp-4"], "unknown scorer 'gtp-4'. Did you mean 'gpt-4'"),
    ],
)
def test_a_wrong_judge_is_named_with_its_line(small: Any, scorers: list[Any], said: str) -> None:
    with pytest.raises(InputError, match=r"study\.yaml:\d+: suites\[0\]") as caught:
        plan_study(Study.load(small(*scorers)))
    assert said in str(caught.value)
    assert "list is empty" not in str(caught.value)


def test_what_decides_a_verdict_is_in_the_plan(small: Any, server: Judging, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("Q {query} A {answer}")

    def key(**settings: Any) -> str:
        return plan_study(Study.load(small(judged(server, **settings)))).key

    usual = key()
    for change in (
        {"model": "b"},
        {"rubric": "mine.txt"},
        {"attempts": 1},
        {"temperature": 0.5},
        {"recheck": 0.1},
    ):
        assert key(**change) != usual
    assert key(concurrency=2, price={"input": 1, "output": 2}, name="judge") == usual
    before = key(rubric="mine.txt")
    (tmp_path / "mine.txt").write_text("Other: {query} {answer}")
    assert key(rubric="mine.txt") != before


def test_the_run_command_shows_the_notice_and_wants_a_yes(
    small: Any, server: Judging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = CliRunner().invoke(run_command, [str(small(judged(server))), "--out", str(tmp_path / "run")])
    assert local.exit_code == 0, local.exception
    assert "stays on this machine" in local.stderr
    monkeypatch.setenv("JUDGE_KEY", "x")
    study = small({**judged(server), "base_url": ELSEWHERE, "api_key_env": "JUDGE_KEY"})
    remote = CliRunner().invoke(run_command, [str(study), "--out", str(tmp_path / "run")])
    assert isinstance(remote.exception, InputError)
    assert "LEAVES THIS MACHINE" in remote.stderr
    assert "--yes" in str(remote.exception)


def test_costs_are_told_before_and_after(small: Any, server: Judging, tmp_path: Path) -> None:
    study = small(judged(server, price={"input": 30, "output": 60}))
    out = tmp_path / "run"
    (before,) = judge_notices(plan_study(Study.load(study)), out)
    assert (before.estimate.requests, before.upper) == (4, True)
    assert before.estimate.dollars is not None
    assert not out.exists()
    told = CliRunner().invoke(judge_command, ["cost", str(study), "--run", str(out)])
    assert told.exit_code == 0, told.exception
    assert "at most 4 queries" in told.stdout
    assert "at most $" in told.stdout
    run_study(Study.load(study), out)
    (after,) = judge_notices(plan_study(Study.load(study)), out)
    assert (after.estimate.requests, after.upper) == (0, False)
    none = CliRunner().invoke(judge_command, ["cost", str(small("gsm8k"))])
    assert "judging costs nothing" in str(none.exception)
