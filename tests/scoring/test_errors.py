"""Answers that ended in an error are nobody's to score."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from puretune.data import question
from puretune.errors import InputError
from puretune.inference import Answer
from puretune.scoring import Refusal, Verdict, score_answers, score_file
from tests.scoring.judges.conftest import MakeJudge, clock, harms, ledger, make, server
from tests.scoring.judges.server import Judging

__all__ = ["clock", "ledger", "make", "server"]

ERROR = Answer("e", 0, "", (), "error", note="refused: too long")


def test_a_scorer_sees_only_answers() -> None:
    items = [
        (question("1", "q"), Answer("a", 0, "I cannot help with that.", (), "stop")),
        (question("2", "q"), ERROR),
        (question("3", "q"), Answer("b", 0, "Here you are: 4", (), "stop")),
    ]
    first, second, third = score_answers(Refusal(), items)
    assert (first.parse, first.behaviour, third.parse) == ("ok", "refused", "ok")
    assert second == Verdict(
        "refusal", dict.fromkeys(first.values), parse="unparsed", raw={"error": "refused: too long"}
    )


def test_a_judge_is_not_asked_about_them(make: MakeJudge, server: Judging) -> None:
    items = [*harms(5), (question("e", "How?"), ERROR), *harms(1)]
    verdicts = make().score(items)
    assert [verdict.parse for verdict in verdicts] == ["ok", "unparsed", "ok"]
    assert verdicts[1].values["asr"] is None
    assert server.asked == 2
    assert make().notice(items).estimate.requests == 0


def test_a_files_line_may_say_that_its_answer_ended_in_an_error(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    lines = [
        {"query": "q", "answer": "", "finish": "error"},
        {"query": "q", "answer": "Yes.", "finish": "stop"},
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    scored = score_file(file, Refusal(), tmp_path / "v.jsonl")
    assert (scored.unparsed, [verdict.parse for verdict in scored.verdicts]) == (1, ["unparsed", "ok"])
    file.write_text(json.dumps({"query": "q", "answer": "", "finish": "ended"}) + "\n")
    with pytest.raises(InputError, match=r"a\.jsonl:1: 'finish' is the text 'ended'\. Write one of stop"):
        score_file(file, Refusal(), tmp_path / "w.jsonl")
