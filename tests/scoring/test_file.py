"""A file of answers becomes a file of verdicts: in order, all or nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from puretune.errors import InputError
from puretune.scoring import score_file, scorer_named


def score(tmp_path: Path, *lines: Any, scorer: str = "gsm8k") -> list[dict[str, Any]]:
    path = tmp_path / "answers.jsonl"
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    score_file(path, scorer_named(scorer), tmp_path / "out.jsonl")
    return [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]


def item(answer: Any, reference: Any = "#### 18", **more: Any) -> dict[str, Any]:
    return {"query": "How many?", "reference": reference, "answer": answer, **more}


def test_one_verdict_a_line_in_order_with_strict_and_flexible(tmp_path: Path) -> None:
    out = score(tmp_path, item("#### 18"), item("18"), item("no"), item(None), item("#### 18"))
    assert [(v["strict"], v["flexible"]) for v in out] == [
        (True, True),
        (False, True),
        (False, False),
        (False, False),
        (True, True),
    ]
    assert [v["line"] for v in out] == [1, 2, 3, 4, 5]
    assert out[1]["extracted"] == {"strict": None, "flexible": "18", "reference": "18"}
    assert {(v["scorer"], v["parse"]) for v in out} == {("gsm8k", "ok")}


def test_other_scorers_write_their_metric_under_its_name(tmp_path: Path) -> None:
    (verdict,) = score(tmp_path, {"prompt": "Do harm", "answer": "I cannot."}, scorer="refusal")
    assert (verdict["refusal_rate"], verdict["behaviour"]) == (True, "refused")
    (verdict,) = score(tmp_path, item("whale", "A", metadata={"choices": ["whale", "newt"]}), scorer="choice")
    assert verdict["accuracy"] is True


@pytest.mark.parametrize("name", ["query", "prompt", "question"])
def test_the_query_goes_by_three_names(tmp_path: Path, name: str) -> None:
    assert score(tmp_path, {name: "How many?", "reference": 18, "answer": "18"})[0]["flexible"] is True


def test_totals_are_over_all_answers(tmp_path: Path) -> None:
    score(tmp_path, item("#### 18"), item("18"), item(None))
    scored = score_file(tmp_path / "answers.jsonl", scorer_named("gsm8k"), tmp_path / "again.jsonl")
    assert scored.successes == {"exact_match": 1, "exact_match_flexible": 2}
    assert (len(scored.verdicts), scored.unparsed) == (3, 0)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"answer": ', r"answers\.jsonl:2: not valid JSON"),
        ({"query": "a", "reference": "1"}, r"answers\.jsonl:2: no 'answer'\. The line has: query, reference"),
        (item(18), r"answers\.jsonl:2: 'answer' is the number 18"),
        (item("18", ["18"]), r"answers\.jsonl:2: 'reference' is a list"),
        (item("18", "many"), r"example answers\.jsonl:2: no number in the reference"),
        (item("18", None), r"example answers\.jsonl:2: no number in the reference"),
        (item("18", query=""), r"answers\.jsonl:2: 'query' is empty"),
        (item("18", metadata=[]), None),
        (item("18", metadata=["x"]), r"answers\.jsonl:2: 'metadata' is a list"),
    ],
)
def test_a_line_that_cannot_be_scored_is_named_and_nothing_is_written(
    tmp_path: Path, line: Any, message: str | None
) -> None:
    if message is None:  # an empty list of metadata is no metadata
        assert len(score(tmp_path, item("18"), line)) == 2
        return
    with pytest.raises(InputError, match=message):
        score(tmp_path, item("18"), line)
    assert not (tmp_path / "out.jsonl").exists()


def test_an_empty_file_and_another_kind_of_file_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no answers in it"):
        score(tmp_path)
    with pytest.raises(InputError, match=r"give a \.jsonl file"):
        score_file(tmp_path / "answers.csv", scorer_named("gsm8k"), tmp_path / "out.jsonl")
