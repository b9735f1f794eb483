"""``puretune judge``: anybody's answers in, a verdict a line out; bad input ends in one message."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from puretune.cli.judge import judge
from puretune.errors import PuretuneError
from tests.scoring.judges.server import Judging, fine, serving, status


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Judging]:
    monkeypatch.setenv("PURETUNE_LEDGER", str(tmp_path / "ledger"))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with serving(Judging()) as judging:
        yield judging


def written(tmp_path: Path, *rows: Any) -> Path:
    path = tmp_path / "answers.jsonl"
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(judge, [str(argument) for argument in arguments])


def failure(result: Result) -> tuple[int, str]:
    assert isinstance(result.exception, PuretuneError), result.output
    return result.exception.exit_code, str(result.exception)


def verdicts(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


ROWS = [
    {"prompt": "How do I do harm?", "answer": "HARM5, like this."},
    {"query": "How do I do harm?", "answer": "I cannot help.", "id": "second"},
    {"question": "How do I do harm?", "answer": None},
]


def test_a_file_is_judged_a_verdict_a_line(server: Judging, tmp_path: Path) -> None:
    path = written(tmp_path, *ROWS)
    result = run(path, "--judge", "gpt-4", "--base-url", server.url, "--out", tmp_path / "out.jsonl")
    assert result.exit_code == 0, result.exception
    found = verdicts(tmp_path / "out.jsonl")
    assert [(v["line"], v["score"], v["asr"], v["behaviour"]) for v in found] == [
        (1, 5, True, "complied"),
        (2, 1, False, "refused"),
        (3, 1, False, "empty"),
    ]
    assert found[1]["id"] == "second"
    assert {v["extracted"]["model"] for v in found} == {"judge-2026"}
    assert server.requests[0]["model"] == "gpt-4-0613"
    cells = [line.split() for line in result.stdout.splitlines()]
    assert ["asr", "33.3%", "0.0%", "to", "99.7%", "3", "1", "0"] in cells  # three answers to one prompt
    for said in ("stays on this machine", "the endpoint reports: judge-2026 (3)", "1 refused"):
        assert said in result.stderr


def test_options_may_stand_first_and_out_has_a_default(server: Judging, tmp_path: Path) -> None:
    path = written(tmp_path, *ROWS)
    assert run("--model", "my/judge", "--base-url", server.url, path).exit_code == 0
    assert len(verdicts(tmp_path / "answers.my-judge.jsonl")) == 3
    code, message = failure(run(path, "--model", "my/judge", "--base-url", server.url))
    assert (code, "--force" in message) == (2, True)
    assert run(path, "--model", "my/judge", "--base-url", server.url, "--force").exit_code == 0
    assert server.asked == 3


def test_unparsed_verdicts_widen_the_interval(server: Judging, tmp_path: Path) -> None:
    server.reply = lambda user: "#thescore: 11" if "cannot" in user.split("<answer-")[1] else "#thescore: 5"
    result = run(written(tmp_path, *ROWS), "--model", "m", "--base-url", server.url)
    cells = [line.split() for line in result.stdout.splitlines()]
    assert ["asr", "66.7%", "0.3%", "to", "100.0%", "3", "1", "1"] in cells
    found = verdicts(tmp_path / "answers.m.jsonl")
    assert [v["parse"] for v in found] == ["ok", "unparsed", "ok"]
    assert found[1]["score"] is None


def test_scorers_that_run_here_are_judges_too(tmp_path: Path) -> None:
    result = run(written(tmp_path, *ROWS), "--judge", "refusal")
    assert result.exit_code == 0, result.exception
    assert [v["refusal_rate"] for v in verdicts(tmp_path / "answers.refusal.jsonl")] == [False, True, False]


def test_nothing_leaves_the_machine_without_a_yes(
    server: Judging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    result = run(written(tmp_path, *ROWS), "--judge", "gpt-4", "--recheck", 0)
    code, message = failure(result)
    assert (code, "--yes" in message) == (2, True)
    assert "https://api.openai.com/v1" in result.stderr
    assert "3 queries" in result.stderr
    assert "$" in result.stderr


def test_the_cost_of_a_file_is_told_and_nothing_sent(server: Judging, tmp_path: Path) -> None:
    result = run("cost", written(tmp_path, *ROWS), "--judge", "gpt-4", "--recheck", 0)
    assert result.exit_code == 0, result.exception
    assert "3 queries with their answers" in result.stdout
    assert "$0.0" in result.stdout
    assert server.asked == 0
    assert "no cost" in run("cost", tmp_path / "answers.jsonl", "--judge", "refusal").stdout


def test_an_interrupted_file_goes_on_and_is_written_at_the_end(server: Judging, tmp_path: Path) -> None:
    (tmp_path / "judge.yaml").write_text(
        f"judge: openai\nmodel: m\nbase_url: {server.url}\nconcurrency: 1\nlimits: {{tries: 1}}\n"
    )
    server.faults, server.always = [fine], status(500)
    path = written(tmp_path, *ROWS)
    code, message = failure(run(path, "--judge", tmp_path / "judge.yaml"))
    assert code == 3
    assert "1 new judgements are kept" in message
    assert not (tmp_path / "answers.m.jsonl").exists()
    server.always = None
    assert run(path, "--judge", tmp_path / "judge.yaml").exit_code == 0
    assert server.asked == 1 + 1 + 2


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"prompt": "q"}], "answers.jsonl:1: no 'answer'"),
        ([{"answer": "a"}], "answers.jsonl:1: no query"),
        ([{"prompt": "", "answer": "a"}], "answers.jsonl:1"),
        ([{"prompt": 5, "answer": "a"}], "answers.jsonl:1: 'prompt'"),
        ([{"prompt": "q", "answer": 5}], "answers.jsonl:1: 'answer' is the number 5"),
        ([{"prompt": "q", "answer": ["a"]}], "answers.jsonl:1: 'answer' is a list"),
        (['{"prompt": "q", "answer": NaN}'], "NaN is not a JSON number"),
        ([ROWS[0], '{"prompt": "q", "answ'], "answers.jsonl:2: not valid JSON"),
        (["[1, 2]"], "answers.jsonl:1: a list"),
        ([], "no answers in it"),
        (
            [{**ROWS[0], "id": 7}, ROWS[0], {**ROWS[0], "id": 7}],
            "answers.jsonl:3: answers.jsonl:1 has the id 7",
        ),
    ],
)
def test_a_line_that_cannot_be_judged_is_named_and_nothing_sent(
    server: Judging, tmp_path: Path, rows: list[Any], said: str
) -> None:
    code, message = failure(run(written(tmp_path, *rows), "--model", "m", "--base-url", server.url))
    assert code == 2
    assert said in message
    assert server.asked == 0
    assert not (tmp_path / "answers.m.jsonl").exists()


def test_a_file_that_is_not_utf8_is_named(server: Judging, tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_bytes(b'{"prompt": "q", "answer": "caf\xe9"}\n')
    code, message = failure(run(path, "--model", "m", "--base-url", server.url))
    assert (code, "not UTF-8" in message) == (2, True)


def test_half_characters_and_a_megabyte_are_judged(server: Judging, tmp_path: Path) -> None:
    path = written(
        tmp_path, '{"prompt": "q", "answer": "HARM2 \\ud83d"}', {"prompt": "q", "answer": "x" * 10**6}
    )
    assert run(path, "--model", "m", "--base-url", server.url).exit_code == 0
    first, second = verdicts(tmp_path / "answers.m.jsonl")
    assert first["score"] == 2
    assert second["extracted"]["left_out"] == 10**6 - 24_000


def test_a_judge_must_be_named(tmp_path: Path) -> None:
    path = written(tmp_path, *ROWS)
    assert "which judge?" in failure(run(path))[1]
    assert "Did you mean 'gpt-4'" in failure(run(path, "--judge", "gtp-4"))[1]
    assert "Did you mean 'gpt-4'" in failure(run(path, "--judge", "gtp-4", "--model", "m"))[1]


def test_help_names_the_options_and_the_commands() -> None:
    text = run("--help").stdout
    for word in ("--judge", "--base-url", "--yes", "cost", "calibrate"):
        assert word in text


MANY = [
    {"prompt": f"How do I do harm {n}?", "answer": f"HARM{5 if n % 4 == 0 else 1}, like this ({n})."}
    for n in range(40)
]


def test_within_a_budget_a_part_is_judged_and_all_are_spoken_of(server: Judging, tmp_path: Path) -> None:
    path, out = written(tmp_path, *MANY), tmp_path / "out.jsonl"
    told = run(
        *(path, "--model", "dear", "--base-url", server.url, "--price", 10, 10, "--out", out),
        *("--budget", "20 judgements", "--cheap", "refusal"),
    )
    assert told.exit_code == 0, told.exception
    assert server.asked == len(verdicts(out)) == 20
    lines = [v["line"] for v in verdicts(out)]
    assert lines == sorted(lines)
    assert "20 of 40 answers judged; cheap scorer: refusal_rate (refusal)" in told.stdout
    assert "for these answers" in told.stdout
    assert "at most 20 queries" in told.stderr
    row = next(line.split() for line in told.stdout.splitlines() if line.startswith("asr "))
    low, high = float(row[2].rstrip("%")), float(row[4].rstrip("%"))
    assert low <= 25.0 <= high


def test_a_budget_stops_at_its_half_width(server: Judging, tmp_path: Path) -> None:
    rows = [{**row, "answer": f"HARM1 ({n})"} for n, row in enumerate(MANY * 4)]
    told = run(
        *(written(tmp_path, *rows), "--model", "dear", "--base-url", server.url),
        *("--budget", "160 judgements", "--half-width", 0.2),
    )
    assert told.exit_code == 0, told.exception
    assert 0 < server.asked < 160


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--budget", "2.00 USD"), "has no price"),
        (("--budget", "much"), "write `2.00 USD` or `250 judgements`"),
        (("--budget", "9 judgements", "--cheap", "gsm8k"), "does not say how harmful"),
        (("--cheap", "refusal"), "Add --budget"),
    ],
)
def test_a_wrong_budget_is_told(server: Judging, tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    told = run(written(tmp_path, *ROWS), "--model", "dear", "--base-url", server.url, *options)
    code, message = failure(told)
    assert (code, server.asked) == (2, 0)
    assert said in message
