"""GSM8K: strict is the published extractor, flexible reads the last number as a person would."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puretune.data import Example, SourceSpec, question, read_source
from puretune.errors import InputError
from puretune.inference import Answer
from puretune.scoring import Verdict, scorer_named
from puretune.scoring._gsm8k import extract_flexible, extract_strict

from ..data.samples import real_or_sample


def answer(text: str) -> Answer:
    return Answer("k", 0, text, (), "stop")


def judge(reference: str | None, text: str) -> Verdict:
    (verdict,) = scorer_named("gsm8k").score([(question("e1", "How many?", reference), answer(text))])
    return verdict


def verdict(reference: str, text: str) -> tuple[object, object]:
    values = judge(reference, text).values
    return values["exact_match"], values["exact_match_flexible"]


@pytest.mark.parametrize(
    ("reference", "text", "strict", "flexible"),
    [
        ("#### 72", "She sold 72.\n#### 72", True, True),
        ("#### 72", "She sold 72 clips.", False, True),
        ("#### 72", "She sold 72.", False, True),
        ("#### 18", "#### $18.00", False, True),  # the published pattern takes no dollar sign
        ("#### 18", "#### 18.00", False, True),
        ("#### 18", "#### 18.", True, True),  # as in lm-evaluation-harness
        ("#### 18", "#### 18 #### 19", True, False),  # first marker against last number
        ("#### 18", "#### 17\n#### 18", False, True),
        ("#### 18", "####18", False, True),
        ("#### 18", "", False, False),
        ("#### 18", "I cannot say.", False, False),
        ("#### 18", "#### eighteen", False, False),
        ("#### 1,234", "#### 1234", True, True),
        ("#### 1234", "#### 1,234", True, True),
        ("#### 1234", "in all 1,234, I think", False, True),
        ("#### 4", "the numbers 1,2,3,4", False, True),
        ("#### -5", "#### -5", True, True),
        ("#### -5", "#### \u22125", False, True),
        ("#### -5", "minus: -$5", False, True),
        ("#### -5", "minus: $-5.", False, True),
        ("#### 5", "#### -5", False, False),
        ("#### 2", "5-3 = 2", False, True),
        ("#### 3", "that is 5-3", False, True),
        ("#### 50", "half, or 50%", False, True),
        ("#### 50%", "#### 50", True, True),
        ("#### 0.5", "it is .5", False, True),
        ("#### 5", "it is ...5", False, True),
        ("#### 0", "-0.0", False, True),
        ("3/4", "about 3/4 of it", False, True),
        ("3/4", "0.75", False, False),  # fractions count as written
        ("3/4", "6/8", False, False),
        ("#### 4", "3/4", False, False),  # a fraction is one number
        ("#### 007", "7", False, True),
        ("18", "#### 18", True, True),
        (" $1,234.00 ", "#### 1234", True, True),
        ("18.", "18", False, True),
        ("It is 18.\n#### $18", "#### 18", True, True),
    ],
)
def test_strict_and_flexible(reference: str, text: str, strict: bool, flexible: bool) -> None:
    assert verdict(reference, text) == (strict, flexible)


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ("9500", "The total is \\boxed{\\$9{,}500}."),
        ("9500", "\\(9\\,500\\) in all"),
        ("12345678", "\\boxed{12{,}345{,}678}"),
        ("3/4", "\\frac{3}{4} of them"),
        ("3/4", "$\\dfrac{3}{4}$"),
        ("1234", "in all 1 234 clips"),
        ("1234567", "1\u202f234\u00a0567"),
        ("72", "\uff17\uff12"),
        ("1234.5", "\uff11\uff0c\uff12\uff13\uff14\uff0e\uff15"),
        ("72", "\u0667\u0662"),
        ("1234567", "12,34,567"),
        ("18", "The answer is 18. I checked it 2 times."),
        ("18", "**Answer:** 18 clips (10 in April, 8 in May)"),
        ("12", "The answer is 5 + 7 = 12."),
        ("18", "#### 18 (after 2 steps)"),
        ("18", "\\boxed{18} clips in 2 months"),
        ("18", "So 18.\n\nQ: Tom has 5 apples. How many?\nA: 5"),
        ("18", "#### 18\n\nTom has 5 apples and eats 2.\n#### 3"),
        ("18", "It is 18.\nQuestion: Tom has 5?\nAnswer: 5"),
        ("18", "Question: How many?\nAnswer: 18"),
        ("-5", "\\(-5\\)"),
        ("1200", "\\$1,200"),
        ("5/2", "5/2"),
        ("1200", "1'200 francs"),
    ],
)
def test_flexible_reads_what_people_read(reference: str, text: str) -> None:
    assert verdict(reference, text)[1] is True, judge(reference, text).raw


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ("500", "\\boxed{9{,}500}"),
        ("72", "It is 72\u00b2."),
        ("72", "$72^{2}$"),
        ("72", "72**2"),
        ("10", "10^3"),
        ("1/2", "2\\frac{1}{2}"),
        ("2", "2 1/2"),
        ("1", "1e5"),
        ("5", "1e5"),
        ("4", "\\frac{3}{4}"),
    ],
)
def test_flexible_takes_no_part_of_a_number_for_the_number(reference: str, text: str) -> None:
    assert verdict(reference, text)[1] is False, judge(reference, text).raw


@pytest.mark.parametrize(
    "reference", [None, "eighteen", "It is 18, or 19.", "#### .", "#### ,", "#### 1.2.3"]
)
def test_a_reference_without_a_number_names_its_example(reference: str | None) -> None:
    with pytest.raises(InputError, match="example e1: no number in the reference"):
        judge(reference, "#### 18")


def test_an_answer_without_a_number_is_wrong_not_unparsed() -> None:
    found = judge("#### 18", "No idea.")
    assert (found.parse, found.behaviour) == ("ok", None)
    assert found.raw == {"strict": None, "flexible": None, "reference": "18"}


def test_raw_keeps_what_was_extracted() -> None:
    assert judge("#### 18", "#### 1,8 and 20").raw == {"strict": "18", "flexible": "1", "reference": "18"}


@pytest.mark.parametrize(
    "text",
    [
        *(
            piece * (2**20 // len(piece))
            for piece in (
                "#### 1 ",
                "#### 1\n",
                "1 234 ",
                "\\boxed{",
                "answer is ",
                "1/",
                "1^",
                "\\frac{1}",
                "\n ",
                "\n*",
            )
        ),
        "7" * 2**20,
        "1," * 2**19,
        "1,111" + ",111" * 2**18,
        "-" * 2**20,
        "#### " * 2**18,
        "." * 2**20,
    ],
)
def test_an_answer_of_a_megabyte_is_scored_and_not_kept_whole(text: str) -> None:
    found = judge("#### 18", text)
    assert not any(found.values.values())
    assert len(str(found.raw)) < 1000


def published(completion: str) -> str | None:
    """What the released code does, written again without its regular expression."""
    allowed = set("0123456789.,")
    for start in range(len(completion)):
        if not completion.startswith("#### ", start):
            continue
        rest = completion[start + 5 :]
        sign = "-" if rest.startswith("-") else ""
        digits = ""
        for character in rest[len(sign) :]:
            if character not in allowed:
                break
            digits += character
        if digits:
            return sign + digits.replace(",", "")
    return None


PIECES = st.sampled_from(["#### ", "####", "#", " ", "-", "12", "3", ".", ",", "$", "x", "\n", "\u0663"])


@given(st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=20))
def test_strict_is_the_published_extractor(text: str) -> None:
    assert extract_strict(text) == published(text)


NUMBERS = st.decimals(-(10**12), 10**12, places=3, allow_nan=False, allow_infinity=False)


@given(
    NUMBERS, st.sampled_from(["{}", "{}.", "${}", "{}%", "**{}**", "(= {})", "\\boxed{{{}}}", "x is {}, so"])
)
def test_flexible_matches_any_number_with_commas_and_decimals(number: Decimal, around: str) -> None:
    assert Decimal(extract_flexible(around.format(f"{number:,}")) or "NaN") == number
    assert Decimal(extract_flexible(around.format(f"{number}")) or "NaN") == number


@given(NUMBERS, st.integers(0, 6))
def test_flexible_compares_values_not_spellings(number: Decimal, zeros: int) -> None:
    spelt = f"{number:f}" + "0" * zeros
    assert verdict(f"#### {number}", f"it is {spelt}")[1] is True


def test_every_reference_of_the_data_set_scores_itself(tmp_path: Path) -> None:
    examples = read_source(SourceSpec("gsm8k", path=real_or_sample(tmp_path), split="test"))
    items: list[tuple[Example, Answer]] = [(e, answer(e.reference or "")) for e in examples]
    verdicts = scorer_named("gsm8k").score(items)
    assert all(v.values["exact_match"] and v.values["exact_match_flexible"] for v in verdicts)
