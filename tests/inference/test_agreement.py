"""Differences between engines are counted and shown."""

from __future__ import annotations

import pytest

from puretune.errors import InputError
from puretune.inference import Answer, agreement


def answers(*made: tuple[int, ...]) -> list[Answer]:
    return [Answer(str(number), 0, "", ids, "stop") for number, ids in enumerate(made)]


def test_equal_answers_have_no_difference() -> None:
    same = agreement(answers((1, 2), (3,)), answers((1, 2), (3,))[::-1])
    assert (same.answers, same.tokens, same.equal_tokens, same.differing) == (2, 3, 3, ())
    assert str(same) == ("2 of 2 answers are equal token for token, 3 of 3 tokens up to the first difference")


def test_differences_are_counted_up_to_their_place() -> None:
    found = agreement(answers((1, 2, 3), (4, 5), (6,)), answers((1, 9, 3), (4, 5, 6), (6,)))
    assert found.differing == (("0", 0, 1), ("1", 0, 2))
    assert (found.tokens, found.equal_tokens) == (6, 1 + 2 + 1)
    assert "0 sample 0 at token 1, 1 sample 0 at token 2" in str(found)


def test_engines_that_were_asked_differently_cannot_be_compared() -> None:
    with pytest.raises(InputError, match="'1', sample 0, is answered only once"):
        agreement(answers((1,), (2,)), answers((1,)))
