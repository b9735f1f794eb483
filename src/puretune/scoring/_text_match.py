r"""Scorers for ordinary data: does the answer contain the reference, match a pattern, share its words?

reference  "Bern"     answer "It is Bern, of course."                  contains: right
pattern    "^\d+$"    answer "42"                                      regex: right
reference  "the big red barn"   answer "A red barn."                   token_f1: 0.8
"""

from __future__ import annotations

import string
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import regex  # its searches can be given a time limit

from puretune.data import Example
from puretune.errors import InputError
from puretune.inference import Answer
from puretune.scoring._metric import Metric
from puretune.scoring._types import TextScorer, Verdict
from puretune.visible import one_line, quoted

_SECONDS = 1.0
"""How long a pattern may look at one answer: some patterns never end."""
_ARTICLES = frozenset({"a", "an", "the"})


@dataclass(frozen=True)
class Contains(TextScorer):
    """Whether the answer contains the reference: case, white space and Unicode's compatible forms aside.

    A reference that begins or ends with a letter or digit must begin or end a word or number there: "5" is
    not in "15", "5.5" or "0,5".
    """

    name = "contains"
    version = "1"
    metrics: ClassVar[tuple[Metric, ...]] = (Metric("contains", "Contains the reference", "help"),)

    def score(self, items: Sequence[tuple[Example, Answer]]) -> list[Verdict]:
        """One verdict per item; InputError for an example without a reference."""
        return [self._verdict(_reference(example, self.name), answer.text) for example, answer in items]

    def _verdict(self, reference: str, text: str) -> Verdict:
        wanted = _folded(reference)
        before = r"(?<!\w)(?<!\d[.,])" if wanted[0].isalnum() else ""
        after = r"(?!\w)(?![.,]\d)" if wanted[-1].isalnum() else ""
        pattern = before + regex.escape(wanted) + after
        return Verdict(self.name, {"contains": regex.search(pattern, _folded(text)) is not None})


@dataclass(frozen=True)
class Regex(TextScorer):
    """Whether a pattern is found in the answer: ``metadata["pattern"]`` of the example, in Python's syntax.

    A pattern that takes longer than a second on an answer gives no verdict (unparsed).
    """

    name = "regex"
    version = "1"
    metrics: ClassVar[tuple[Metric, ...]] = (Metric("match", "Matches the pattern", "help"),)

    def score(self, items: Sequence[tuple[Example, Answer]]) -> list[Verdict]:
        """One verdict per item; InputError for an example without a pattern, or with a wrong one."""
        return [self._verdict(_pattern(example), answer.text) for example, answer in items]

    def _verdict(self, pattern: regex.Pattern[str], text: str) -> Verdict:
        try:
            found = pattern.search(text, timeout=_SECONDS)
        except TimeoutError:
            return Verdict(self.name, {"match": None}, parse="unparsed", raw={"reason": "took too long"})
        raw = {"found": found[0][:200]} if found else {}
        return Verdict(self.name, {"match": found is not None}, raw=raw)


@dataclass(frozen=True)
class TokenF1(TextScorer):
    """The harmonic mean of precision and recall of the answer's words against the reference's, 0 to 1.

    Case, punctuation and English articles aside, words counted as often as they occur. Source: the
    evaluation of SQuAD 1.1 (Rajpurkar et al., 2016).
    """

    name = "token_f1"
    version = "1"
    metrics: ClassVar[tuple[Metric, ...]] = (Metric("f1", "Word F1", "help", graded=True),)

    def score(self, items: Sequence[tuple[Example, Answer]]) -> list[Verdict]:
        """One verdict per item; InputError for an example without a reference."""
        return [
            Verdict(self.name, {"f1": word_f1(_reference(example, self.name), answer.text)})
            for example, answer in items
        ]


def word_f1(reference: str, answer: str) -> float:
    """F1 of the words of two texts, 0 to 1; two texts without a word are alike."""
    wanted, given = Counter(_words(reference)), Counter(_words(answer))
    if not wanted or not given:
        return float(wanted == given)
    shared = (wanted & given).total()
    return 2 * shared / (wanted.total() + given.total())


def _words(text: str) -> list[str]:
    plain = _folded(text).translate(str.maketrans("", "", string.punctuation))
    return [word for word in plain.split() if word not in _ARTICLES]


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _reference(example: Example, scorer: str) -> str:
    reference = example.reference or ""
    if not reference.strip():
        raise InputError(f"example {quoted(example.id)}: {scorer} needs a reference. Add one.")
    return reference


def _pattern(example: Example) -> regex.Pattern[str]:
    given = example.metadata.get("pattern")
    if not isinstance(given, str) or not given:
        raise InputError(
            f"example {quoted(example.id)}: regex needs a text `pattern` in its metadata, such as "
            '{"pattern": "^[0-9]+$"}.'
        )
    try:
        return regex.compile(given)
    except regex.error as error:
        raise InputError(
            f"example {quoted(example.id)}: the pattern {quoted(given, 80)} is wrong: {one_line(error)}."
        ) from None
