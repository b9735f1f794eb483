"""What of a stored answer is scored, and what a stored verdict says of it."""

from __future__ import annotations

from typing import Any

import pytest

from puretune.data import Example, question
from puretune.errors import InputError
from puretune.scoring import Verdict, scorer_named
from puretune.study.run.judges import items_of
from puretune.study.run.verdicts import check_references, verdict_row


def test_a_study_says_that_thoughts_are_not_scored() -> None:
    def thinks(answer: str) -> dict[str, Any]:
        row = {"prompt_id": "0", "sample": 0, "text": answer, "token_ids": [1], "finish": "stop"}
        (_, given), *_ = items_of([question("0", "How?", "1")], [row])
        return {"text": given.text, "thoughts": verdict_row(row, Verdict("s", {"m": True}))["thoughts"]}

    assert thinks("<think>No.</think>Yes.") == {"text": "Yes.", "thoughts": "cut"}
    assert thinks("<think>No, wait") == {"text": "", "thoughts": "unclosed"}
    assert thinks("Yes.") == {"text": "Yes.", "thoughts": "none"}


def test_a_scorer_that_calls_a_reference_wrong_is_named_before_anything_is_generated() -> None:
    examples = [question("a", "2 + 3?", "5"), question("b", "2 + 4?", "B")]
    check_references(scorer_named("gsm8k"), examples[:1])
    choice = scorer_named("choice")
    with pytest.raises(InputError, match="calls the reference of example 'c' wrong: 'trout'"):
        check_references(choice, [examples[1], _choice("c", "trout")])
    check_references(choice, [_choice("d", "whale"), question("e", "?", None)])
    check_references(scorer_named("refusal"), examples)


def _choice(id: str, reference: str) -> Example:
    facts = {"letter": "B", "choices": ["trout", "whale"]}
    return question(id, "Which is a mammal?", reference, metadata=facts)
