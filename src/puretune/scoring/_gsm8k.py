r"""GSM8K exact match, ``strict`` and ``flexible``.

reference  "Natalia sold 48+24 = <<48+24=72>>72 clips altogether in April and May.\n#### 72"
answer     "She sold 72 clips in all.\n#### 72"          strict: yes    flexible: yes
answer     "She sold $72.00 in all."                     strict: no     flexible: yes
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from puretune.data import Example
from puretune.errors import InputError
from puretune.inference import Answer
from puretune.scoring._metric import Metric
from puretune.scoring._numbers import exact_number, number_of
from puretune.scoring._types import TextScorer, Verdict

# The published extractor, unchanged (openai/grade-school-math, grade_school_math/dataset.py).
_MARKED = re.compile(r"#### (\-?[0-9\.\,]+)")

_LONGEST_RAW = 200
"""Characters of an extracted string that a verdict keeps (an answer may be a megabyte of digits)."""


@dataclass(frozen=True)
class GSM8K(TextScorer):
    """Exact match with the reference's number.

    ``exact_match`` (strict) is the released extractor of Cobbe et al. (arXiv 2110.14168): the first
    ``#### N`` of the answer, commas removed, compared as a string; no marker is wrong. A full stop after
    the number does not count, as in lm-evaluation-harness (``strict-match``); the released code, which
    takes it for a part of the number, calls ``#### 72.`` wrong.
    ``exact_match_flexible`` reads the number that the answer gives (``number_of``) and compares values:
    ``$``, thousands separators and ``%`` are dropped, 18.00 is 18. A fraction is one number and counts as
    written: 3/4 equals 3/4, neither 6/8 nor 0.75. An answer without a number is wrong, not unparsed.

    The reference is a worked solution that ends in ``#### N``, or a bare number; InputError names the
    example where it is neither.
    """

    name = "gsm8k"
    version = "2"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("exact_match", "Exact match", "help"),
        Metric("exact_match_flexible", "Exact match, flexible", "help", secondary=True),
    )

    def score(self, items: Sequence[tuple[Example, Answer]]) -> list[Verdict]:
        """One verdict per item; ``raw`` keeps what was extracted (None: nothing)."""
        return [self._verdict(example, answer.text) for example, answer in items]

    def _verdict(self, example: Example, text: str) -> Verdict:
        wanted, value = _reference(example)
        strict, flexible = extract_strict(text), extract_flexible(text)
        return Verdict(
            scorer=self.name,
            values={
                "exact_match": _same(strict, wanted),
                "exact_match_flexible": flexible == value,
            },
            raw={"strict": _cut(strict), "flexible": _cut(flexible), "reference": wanted},
        )


def extract_strict(text: str) -> str | None:
    """The first ``#### N``, commas removed; None if there is none (the reference's ``[invalid]``)."""
    match = _MARKED.search(text)
    return match.group(1).strip().replace(",", "") if match else None


def extract_flexible(text: str) -> str | None:
    """The number that ``text`` gives in canonical form (``-1234.5``, ``3/4``); None if it gives none."""
    return number_of(text)


def _reference(example: Example) -> tuple[str, str]:
    """The reference's strict string and its value."""
    text = example.reference or ""
    strict = extract_strict(text)
    if strict is None:  # a bare number, as in users' files, perhaps behind a marker with a $
        strict = exact_number(text.rpartition("####")[2])
    value = exact_number(strict) if strict else None
    if strict is None or value is None:
        shown = repr(text[-60:]) if text else "it has none"
        raise InputError(
            f"example {example.id}: no number in the reference ({shown}). The gsm8k scorer needs a worked "
            "solution that ends in `#### N`, or a bare number."
        )
    return _without_stop(strict), value


def _same(strict: str | None, wanted: str) -> bool:
    return strict is not None and _without_stop(strict) == wanted


def _without_stop(strict: str) -> str:
    return strict.removesuffix(".")


def _cut(extracted: str | None) -> str | None:
    if extracted is None or len(extracted) <= _LONGEST_RAW:
        return extracted
    return f"{extracted[:_LONGEST_RAW]}... ({len(extracted)} characters)"
