r"""GSM8K exact match, ``strict`` and ``flexible``.

reference  "Natalia sold 48+24 = <<48+24=72>>72 clips altogether in April and May.\n#### 72"
answer     "She sold 72 clips in all.\n#### 72"          strict: yes    flexible: yes
answer     "She sold $72.00 in all."                     strict: no     flexible: yes
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence

from puretune.data import Example
from puretune.errors import InputError
from puretune.inference import Answer
from puretune.scoring._metric import Metric
from puretune.scoring._types import Verdict

# The published extractor, unchanged (openai/grade-school-math, grade_school_math/dataset.py).
_MARKED = re.compile(r"#### (\-?[0-9\.\,]+)")

_NUMBER = re.compile(
    r"(?P<minus>(?<![\w)\]%.])[-\u2212])?"  # a minus, but not one that subtracts ("5-3")
    r"(?:\$(?P<inner>[-\u2212])?)?"
    r"(?P<digits>(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|(?<![0-9.])\.[0-9]+)"
    r"(?:/(?P<under>[0-9]+)(?![0-9]|[./,][0-9]))?"
)
_LONGEST_RAW = 200
"""Characters of an extracted string that a verdict keeps (an answer may be a megabyte of digits)."""


class GSM8K:
    """Exact match with the reference's number.

    ``exact_match`` (strict) is the released extractor of Cobbe et al. (arXiv 2110.14168): the first
    ``#### N`` of the answer, commas removed, compared as a string; no marker is wrong.
    ``exact_match_flexible`` takes the last number of the answer whatever stands around it and compares
    values: ``$``, thousands commas and ``%`` are dropped, 18.00 is 18, a full stop is no decimal point. A
    fraction is one number and counts as written: 3/4 equals 3/4, neither 6/8 nor 0.75. An answer without a
    number is wrong, not unparsed.

    The reference is a worked solution that ends in ``#### N``, or a bare number; InputError names the
    example where it is neither.
    """

    name = "gsm8k"
    version = "1"
    metrics: tuple[Metric, ...] = (
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
            values={"exact_match": strict == wanted, "exact_match_flexible": flexible == value},
            raw={"strict": _cut(strict), "flexible": _cut(flexible), "reference": wanted},
        )


def extract_strict(text: str) -> str | None:
    """The first ``#### N``, commas removed; None where there is none (the reference's ``[invalid]``)."""
    match = _MARKED.search(text)
    return match.group(1).strip().replace(",", "") if match else None


def extract_flexible(text: str) -> str | None:
    """The last number in ``text`` in canonical form (``-1234.5``, ``3/4``); None where there is none."""
    last = deque(_NUMBER.finditer(text), maxlen=1)
    return _canonical(last[0]) if last else None


def _reference(example: Example) -> tuple[str, str]:
    """The reference's strict string and its value."""
    text = example.reference or ""
    strict = extract_strict(text)
    if strict is None:  # a bare number, as in users' files, perhaps behind a marker with a $
        bare = _NUMBER.fullmatch(text.rpartition("####")[2].strip().rstrip(".%").strip())
        strict = _canonical(bare) if bare else None
    number = _NUMBER.fullmatch(strict.rstrip(".")) if strict else None
    if strict is None or number is None:
        shown = repr(text[-60:]) if text else "it has none"
        raise InputError(
            f"example {example.id}: no number in the reference ({shown}). The gsm8k scorer needs a worked "
            "solution that ends in `#### N`, or a bare number."
        )
    return strict, _canonical(number)


def _canonical(match: re.Match[str]) -> str:
    # Text, not a float: exact, and linear in the length of a megabyte of digits.
    whole, _, part = match["digits"].replace(",", "").partition(".")
    whole, part = whole.lstrip("0") or "0", part.rstrip("0")
    number = f"{whole}.{part}" if part else whole
    if match["under"] is not None:
        number = f"{number}/{match['under'].lstrip('0') or '0'}"
    negative = (match["minus"] or match["inner"]) and number != "0"
    return f"-{number}" if negative else number


def _cut(extracted: str | None) -> str | None:
    if extracted is None or len(extracted) <= _LONGEST_RAW:
        return extracted
    return f"{extracted[:_LONGEST_RAW]}... ({len(extracted)} characters)"
