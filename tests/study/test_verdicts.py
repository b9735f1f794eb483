"""What of a stored answer is scored, and what a stored verdict says of it."""

from __future__ import annotations

from typing import Any

from puretune.data import question
from puretune.scoring import Verdict
from puretune.study._judging import items_of
from puretune.study._verdicts import verdict_row


def test_a_study_says_that_thoughts_are_not_scored() -> None:
    def thinks(answer: str) -> dict[str, Any]:
        row = {"prompt_id": "0", "sample": 0, "text": answer, "token_ids": [1], "finish": "stop"}
        (_, given), *_ = items_of([question("0", "How?", "1")], [row])
        return {"text": given.text, "thoughts": verdict_row(row, Verdict("s", {"m": True}))["thoughts"]}

    assert thinks("<think>No.</think>Yes.") == {"text": "Yes.", "thoughts": "cut"}
    assert thinks("<think>No, wait") == {"text": "", "thoughts": "unclosed"}
    assert thinks("Yes.") == {"text": "Yes.", "thoughts": "none"}
