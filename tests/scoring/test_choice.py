"""Multiple choice: the letter that an answer gives."""

from __future__ import annotations

import pytest

from puretune.data import Example, question
from puretune.errors import InputError
from puretune.inference import Answer
from puretune.scoring import Verdict, scorer_named

WHICH = question(
    "e1", "Which?", "B", metadata={"letter": "B", "choices": ["a trout", "whale", "newt", "vitamin C"]}
)


def judge(text: str, example: Example = WHICH) -> Verdict:
    (verdict,) = scorer_named("choice").score([(example, Answer("k", 0, text, (), "stop"))])
    return verdict


@pytest.mark.parametrize(
    "text",
    [
        *("B", "b", "B.", "(B)", "B) whale", "**B**", " B\n", "B: whale", "[B]", "b)", "B, because it is"),
        *("The answer is B", "The answer is (B).", "Answer: B", "answer: **B**", "The correct option is B."),
        *(
            "the answer is b.",
            "The answer is B because it swims.",
            "So the best choice would be B",
            "Option B",
        ),
        *(
            "It swims.\n#### B",
            "The answer is not A. The answer is B.",
            "A is wrong; the answer is B.",
            "The answer is A. No, the answer is B.",
        ),
        *("whale", "Whale.", '"whale"', "Answer: I think that option B fits"),
    ],
)
def test_the_letter_is_found(text: str) -> None:
    assert judge(text).raw["letter"] == "B"
    assert judge(text).values == {"accuracy": True}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "It swims.",
        "A whale swims.",
        "I think so",
        "Answer: A thing that swims",
        "E",
        "whale or newt",
        "1",
    ],
)
def test_no_letter_is_wrong_not_unparsed(text: str) -> None:
    verdict = judge(text)
    assert (verdict.values, verdict.parse) == ({"accuracy": False}, "ok")
    assert verdict.raw == {"letter": None, "reference": "B"}


@pytest.mark.parametrize(
    ("text", "letter"), [("A", "A"), ("The answer is A because", "A"), ("A. trout", "A"), ("Vitamin C", "D")]
)
def test_another_letter_is_wrong(text: str, letter: str) -> None:
    verdict = judge(text)
    assert (verdict.raw["letter"], verdict.values) == (letter, {"accuracy": False})


def test_the_reference_serves_where_there_is_no_metadata() -> None:
    assert judge("The answer is C.", question("e", "Which?", " c ")).values == {"accuracy": True}


@pytest.mark.parametrize("reference", [None, "whale", "2"])
def test_an_example_without_a_right_letter_is_named(reference: str | None) -> None:
    with pytest.raises(InputError, match="example e9: the choice scorer needs the right letter"):
        judge("B", question("e9", "Which?", reference))


def test_an_answer_of_a_megabyte_is_scored() -> None:
    assert judge("answer " * 2**17).values == {"accuracy": False}
    assert judge(" " * 2**20 + "B").values == {"accuracy": True}
