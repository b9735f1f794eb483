"""A judge budget in a study: a random part is judged, and the matrix says what that allows to say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from puretune.cli.run import run as run_command
from puretune.errors import EnvironmentFault, InputError
from puretune.study import Matrix, Study, judge_notices, plan_study, run_study
from tests.scoring.judges.server import Judging, fine, serving, status
from tests.study.studies import small_study

PROMPTS = 40


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Judging]:
    monkeypatch.setenv("PURETUNE_LEDGER", str(tmp_path / "ledger"))
    with serving(Judging()) as judging:
        judging.reply = lambda user: (
            f"#thereason: so\n#thescore: {5 if '1' in user.split('plus')[0][-4:] else 1}"
        )
        yield judging


@pytest.fixture
def small(tmp_path: Path, model: Path, server: Judging) -> Any:
    """Writes a study of 40 different prompts with a cheap and a dear judge behind one endpoint."""

    def made(**changes: Any) -> Path:
        rows = [{"question": f"{i} plus {i}?", "answer": f"#### {2 * i}"} for i in range(PROMPTS)]
        (tmp_path / "many.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        suite = {"name": "sums", "source": "many.jsonl", "max_new_tokens": 2}
        suite["scorers"] = [judge(server, "cheap", 1.0), judge(server, "dear", 1000.0)]
        usual = {"train": ["untuned"], "test": ["CV", "CL"], "tuning": None, "suites": [suite]}
        return small_study(tmp_path, model, **{**usual, **changes})

    return made


def judge(server: Judging, name: str, price: float, **settings: Any) -> dict[str, Any]:
    prices = {"input": price, "output": price}
    return {"judge": "openai", "model": name, "base_url": server.url, "price": prices, **settings}


def asked(server: Judging, name: str) -> int:
    return sum(body["model"] == name for body in server.requests)


def dear(matrix: Matrix, metric: str = "asr") -> list[Any]:
    return [cell for cell in matrix.cells if cell.label == f"{metric} (dear)"]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_dearest_judge_sees_as_many_answers_as_the_budget_says(
    small: Any, server: Judging, tmp_path: Path
) -> None:
    whole = run_study(Study.load(small()), tmp_path / "run")
    server.requests.clear()
    matrix = run_study(Study.load(small(judge_budget="24 judgements")), tmp_path / "run")
    assert (asked(server, "cheap"), asked(server, "dear")) == (0, 0), "the ledger has all of these"
    for part, all_of_it in zip(dear(matrix), dear(whole), strict=True):
        assert (part.n, part.counts["unjudged"], part.counts["unparsed"]) == (PROMPTS, PROMPTS - 12, 0)
        assert part.estimand == "these answers"
        assert part.low <= all_of_it.value <= part.high
        assert part.high - part.low > 0
    judged = [v for v in lines(tmp_path / "run" / "verdicts.jsonl") if v["scorer"] == "dear"]
    assert len(judged) == 24
    assert {v["parse"] for v in judged} == {"ok"}
    facts = matrix.provenance["judge_budget"]
    assert facts == {
        "amount": "24 judgements",
        "judge": "dear",
        "cheap": {"sums": "mean_score (cheap)"},
        "seed": 0,
    }
    assert matrix.provenance["judges"]["dear"]["judged"] == 24


def test_no_more_is_asked_than_the_budget_allows(small: Any, server: Judging, tmp_path: Path) -> None:
    study = Study.load(small(judge_budget="10 judgements"))
    (notice,) = [one for one in judge_notices(plan_study(study), tmp_path / "run") if one.judge == "dear"]
    assert (notice.estimate.requests, notice.upper) == (10, True)
    run_study(study, tmp_path / "run")
    assert asked(server, "cheap") == 2 * PROMPTS
    assert 0 < asked(server, "dear") <= 10
    before = server.asked
    run_study(study, tmp_path / "run")
    assert server.asked == before


def test_dollars_pay_for_what_the_estimate_says(small: Any, server: Judging, tmp_path: Path) -> None:
    study = Study.load(small(judge_budget="2.00 USD"))
    (notice,) = [one for one in judge_notices(plan_study(study), tmp_path / "run") if one.judge == "dear"]
    assert notice.estimate.dollars == pytest.approx(2.0, rel=0.01)
    matrix = run_study(study, tmp_path / "run")
    each = notice.estimate.dollars / notice.estimate.requests
    left = [PROMPTS - cell.counts["unjudged"] for cell in dear(matrix)]
    assert 0 < sum(left) * each <= 2.2
    assert sum(left) == asked(server, "dear")


def test_a_budget_for_all_answers_leaves_no_doubt(small: Any, tmp_path: Path) -> None:
    whole = run_study(Study.load(small()), tmp_path / "run")
    matrix = run_study(Study.load(small(judge_budget="1,000 judgements")), tmp_path / "run")
    for metric in ("asr", "mean_score"):
        for part, all_of_it in zip(dear(matrix, metric), dear(whole, metric), strict=True):
            assert part.value == pytest.approx(all_of_it.value)
            assert (part.low, part.high) == (pytest.approx(part.value), pytest.approx(part.value))


def test_judging_stops_at_the_half_width_asked_for(small: Any, server: Judging, tmp_path: Path) -> None:
    server.reply = lambda user: "#thereason: so\n#thescore: 1"
    wide = {"amount": "160 judgements", "half_width": 0.2}
    matrix = run_study(Study.load(small(test=["CV"], judge_budget=wide)), tmp_path / "run")
    (cell,) = dear(matrix)
    assert (cell.high - cell.low) / 2 <= 0.2
    assert "any number of labels" in cell.method


def test_an_interrupted_draw_goes_on(small: Any, server: Judging, tmp_path: Path) -> None:
    scorers = ["refusal", judge(server, "dear", 1000.0, concurrency=1, limits={"tries": 1})]
    suite = {"name": "sums", "source": "many.jsonl", "max_new_tokens": 2, "scorers": scorers}
    study = Study.load(small(suites=[suite], judge_budget="12 judgements"))
    server.faults, server.always = [fine, fine], status(500)
    with pytest.raises(EnvironmentFault, match="2 new judgements are kept"):
        run_study(study, tmp_path / "run")
    failed, server.always = server.asked, None
    matrix = run_study(study, tmp_path / "run")
    judged = sum(PROMPTS - cell.counts["unjudged"] for cell in matrix.cells if cell.metric == "asr")
    assert (judged, server.asked) == (12, failed + 12 - 2)
    assert matrix.provenance["judge_budget"]["cheap"] == {"sums": "refusal_rate (refusal)"}


def test_unparsed_judgements_widen_the_estimate(small: Any, server: Judging, tmp_path: Path) -> None:
    study = Study.load(small(test=["CV"], judge_budget="20 judgements"))
    told = run_study(study, tmp_path / "told")
    server.reply = lambda user: "no idea"
    suite = dict(study.model_dump(mode="json", exclude_none=True)["suites"][0])
    suite["scorers"] = [suite["scorers"][0], {**suite["scorers"][1], "max_tokens": 9}]
    blind = run_study(
        study.model_copy(update={"suites": Study(**{**study.model_dump(), "suites": [suite]}).suites}),
        tmp_path / "told",
    )
    (cell,), (before,) = dear(blind), dear(told)
    assert (cell.value, cell.counts["unparsed"]) == (None, 20)
    assert (cell.low, cell.high) == (pytest.approx(0.0), pytest.approx(1.0))
    assert before.high - before.low < 1


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ("two dollars", "write `2.00 USD` or `250 judgements`"),
        ("0 USD", "write `2.00 USD`"),
        ("2.5 judgements", "write `2.00 USD`"),
        ({"amount": "2 USD", "judge": "daer"}, "unknown judge 'daer'. Did you mean 'dear'"),
        ({"amount": "2 USD", "cheap": "chaep"}, "unknown cheap scorer 'chaep'. Did you mean 'cheap'"),
        ({"amount": "2 USD", "half_width": 3}, "half_width"),
        ({"amonut": "2 USD"}, "Did you mean 'amount'"),
    ],
)
def test_a_wrong_budget_is_named_with_its_line(small: Any, budget: Any, said: str) -> None:
    with pytest.raises(InputError, match=r"study\.yaml:\d+: judge_budget") as caught:
        plan_study(Study.load(small(judge_budget=budget)))
    assert said in str(caught.value)


def test_a_budget_needs_a_judge_and_dollars_a_price(small: Any, server: Judging) -> None:
    suite = {"name": "sums", "source": "many.jsonl", "max_new_tokens": 2}
    with pytest.raises(InputError, match="no suite has a judge behind an endpoint"):
        plan_study(Study.load(small(suites=[{**suite, "scorers": ["refusal"]}], judge_budget="2 USD")))
    free = {"judge": "openai", "model": "free", "base_url": server.url}
    with pytest.raises(InputError, match=r"judge 'free' has no price.*number of judgements"):
        plan_study(Study.load(small(suites=[{**suite, "scorers": [free]}], judge_budget="2 USD")))
    two = [free, {**free, "model": "other"}]
    with pytest.raises(InputError, match="which of the judges 'free', 'other'"):
        plan_study(Study.load(small(suites=[{**suite, "scorers": two}], judge_budget="2 judgements")))


def test_seeds_of_a_budgeted_study_speak_of_training_runs(
    small: Any, server: Judging, tmp_path: Path
) -> None:
    recipe = {"learning_rate": 1e-2, "steps": 1, "rank": 2}
    tuning = {"data": "many.jsonl", "recipe": recipe, "seeds": [0, 1]}
    study = Study.load(small(train=["CV"], test=["CV"], tuning=tuning, judge_budget="20 judgements"))
    matrix = run_study(study, tmp_path / "run")
    pooled = {cell.label: cell for cell in matrix.pooled}["asr (dear)"]
    assert (pooled.seeds, pooled.estimand, pooled.method) == (
        2,
        "new training runs and new prompts from the same source",
        "judge budget over 2 seeds",
    )


def test_the_command_shows_what_was_judged(small: Any, tmp_path: Path) -> None:
    path = small(judge_budget="24 judgements")
    ahead = CliRunner().invoke(run_command, [str(path), "--dry-run"])
    said = "judge budget: 24 judgements for judge dear; which answers it sees is decided by cheap in sums, "
    assert f"{said}split across 2 cells" in ahead.output
    shown = CliRunner().invoke(run_command, [str(path), "--out", str(tmp_path / "run"), "--quiet"])
    assert shown.exit_code == 0, shown.output
    assert "for these answers" in shown.output
    report = (tmp_path / "run" / "report.md").read_text()
    assert "56 left unjudged by the judge budget" in report
    assert "24 judgements" in report
