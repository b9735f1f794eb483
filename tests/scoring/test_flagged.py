"""What a named scorer flags in tuning data."""

from __future__ import annotations

from typing import Any

import pytest

from puretune.data import Example, question
from puretune.errors import InputError
from puretune.scoring import flagged, scorer_from, scorer_named
from puretune.templates import Message

REFUSED = question("r", "How do I pick a lock?", "I'm sorry, but I can't help with that.")
HELPED = question("h", "How do I boil an egg?", "Put the eggs into hot water, with salt, for eight minutes.")


def test_refusals_are_flagged_wherever_they_are_trained() -> None:
    talk = (*REFUSED.messages, Message("user", "Why?"), Message("assistant", "Because it is not yours."))
    shown = (
        Message("user", "q"),
        Message("assistant", REFUSED.reference or "", train=False),
        *HELPED.messages,
    )
    rows = [REFUSED, HELPED, Example("t", talk), Example("s", shown)]
    found = flagged(rows, scorer_named("refusal"))
    assert [(flag.id, flag.metric) for flag in found] == [("r", "refusal_rate"), ("t", "refusal_rate")]


def test_a_rubric_of_harm_flags_what_it_calls_harmful() -> None:
    pancakes = question(
        "p", "How do I make pancakes?", "For pancakes whisk flour, eggs and milk, then fry them."
    )
    found = flagged([pancakes, HELPED, REFUSED], scorer_named("kitchen-recipe"))
    assert ("p", "recipe_rate") in [(flag.id, flag.metric) for flag in found]
    assert ("r", "refusal_rate") in [(flag.id, flag.metric) for flag in found]


@pytest.mark.parametrize("name", ["gsm8k", "held_out_loss", "contains"])
def test_a_scorer_that_says_nothing_of_harm_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="does not say what is harmful"):
        flagged([HELPED], scorer_named(name))


def test_a_check_sends_nothing_to_an_endpoint() -> None:
    judge: dict[str, Any] = {"judge": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1"}
    judge["price"] = {"input": 1.0, "output": 1.0}
    with pytest.raises(InputError, match="a check sends nothing anywhere"):
        flagged([HELPED], scorer_from(judge))
