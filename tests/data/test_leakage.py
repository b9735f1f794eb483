"""Test prompts that the tuning data has too are found, whatever their case, spaces and full stops."""

from __future__ import annotations

from puretune.data import Example, overlap, question, trained_queries
from puretune.templates import Message


def test_a_prompt_that_was_trained_on_is_found() -> None:
    trained = trained_queries([question("a", "What is  a fern?", "A plant."), question("b", "Who?", "He.")])
    tested = [question("1", "what is a fern"), question("2", "What is a wren?"), question("3", "WHO?!")]
    found = overlap(tested, trained)
    assert (found.ids, found.prompts) == (("1", "3"), 3)
    assert str(found) == "2 of 3 prompts are in the tuning data (1, 3)"


def test_every_user_turn_of_a_conversation_was_seen() -> None:
    turns = [Message("user", "One?"), Message("assistant", "1"), Message("user", "Two?")]
    trained = trained_queries([Example("a", (*turns, Message("assistant", "2")))])
    assert overlap([question("x", "One?"), question("y", "Two?"), question("z", "1")], trained).ids == (
        "x",
        "y",
    )


def test_many_ids_are_counted_and_not_all_listed() -> None:
    trained = trained_queries(question(str(n), f"{n}?", "a") for n in range(9))
    found = overlap([question(str(n), f"{n}?") for n in range(9)], trained)
    assert str(found).endswith("(0, 1, 2, 3, 4, ... (4 more))")


def test_texts_of_punctuation_alone_are_not_all_the_same() -> None:
    assert overlap([question("1", "?")], trained_queries([question("a", "!!", "b")])).ids == ()
