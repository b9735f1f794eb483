"""Scorers for ordinary data: containing the reference, matching a pattern, sharing words."""

from __future__ import annotations

import pytest

from puretune.data import Example, SourceSpec, question, read_source
from puretune.errors import InputError
from puretune.inference import Answer
from puretune.scoring import Verdict, scorer_named


def verdict(scorer: str, example: Example, text: str) -> Verdict:
    (one,) = scorer_named(scorer).score([(example, Answer("k", 0, text, (), "stop"))])
    return one


@pytest.mark.parametrize(
    ("reference", "text", "right"),
    [
        ("Bern", "It is BERN, of course.", True),
        ("Bern", "Bernard said so.", False),
        ("5", "It is 15.", False),
        ("5", "It is 5.5", False),
        ("5", "It is 0,5", False),
        ("5", "It is 5.", True),
        ("$5", "That is $5.00", False),
        ("$5", "That is $5, madam", True),
        ("a  b\nc", "x a b c y", True),
        ("ﬁsh (raw)", "fish (raw)!", True),
        ("c++", "Use C++17", True),
        ("x", "", False),
    ],
)
def test_contains_the_reference(reference: str, text: str, right: bool) -> None:
    assert verdict("contains", question("e", "?", reference), text).values == {"contains": right}


@pytest.mark.parametrize(
    ("pattern", "text", "right"),
    [(r"^\d+$", "42", True), (r"^\d+$", "42 apples", False), ("(?i)yes", "YES!", True)],
)
def test_matches_the_examples_pattern(pattern: str, text: str, right: bool) -> None:
    example = question("e", "?", metadata={"pattern": pattern})
    assert verdict("regex", example, text).values == {"match": right}


def test_a_pattern_that_never_ends_is_unparsed() -> None:
    example = question("e", "?", metadata={"pattern": r"^(a|aa)+$"})
    one = verdict("regex", example, "a" * 60 + "b")
    assert (one.parse, one.values) == ("unparsed", {"match": None})


@pytest.mark.parametrize(
    ("reference", "text", "f1"),
    [
        ("the big red barn", "A red barn.", 0.8),
        ("red", "red red red", 0.5),
        ("red", "blue", 0.0),
        ("red", "", 0.0),
        ("Red, barn!", "red barn", 1.0),
        ("...", "the", 1.0),
    ],
)
def test_f1_of_the_words(reference: str, text: str, f1: float) -> None:
    assert verdict("token_f1", question("e", "?", reference), text).values == {"f1": pytest.approx(f1)}


@pytest.mark.parametrize(
    ("scorer", "example", "said"),
    [
        ("contains", question("e", "?"), "needs a reference"),
        ("token_f1", question("e", "?"), "needs a reference"),
        ("regex", question("e", "?"), "`pattern` in its metadata"),
        ("regex", question("e", "?", metadata={"pattern": 3}), "`pattern` in its metadata"),
        ("regex", question("e", "?", metadata={"pattern": "("}), "is wrong: missing"),
    ],
)
def test_examples_that_cannot_be_scored_are_named(scorer: str, example: Example, said: str) -> None:
    with pytest.raises(InputError, match="'e'.*" + said):
        verdict(scorer, example, "x")


@pytest.mark.parametrize("name", ["contains", "regex", "token_f1"])
def test_every_reference_of_the_everyday_suite_fits_it(name: str) -> None:
    scorer = scorer_named(name)
    examples = read_source(SourceSpec("everyday"))
    answers = [Answer(one.id, 0, f"{one.reference}", (), "stop") for one in examples]
    verdicts = scorer.score(list(zip(examples, answers, strict=True)))
    metric = scorer.metrics[0].name
    assert [e.id for e, v in zip(examples, verdicts, strict=True) if v.values[metric] != 1] == []
    wrong = scorer.score([(one, Answer(one.id, 0, "I do not know.", (), "stop")) for one in examples])
    assert not any(v.values[metric] == 1 for v in wrong)
