r"""Accuracy on multiple choice, from a generated answer.

query      "Which is a mammal?\n\nA. trout\nB. whale\n\nAnswer with the letter of the correct option."
reference  "B"
answer     "The answer is (B)."      right
answer     "whale"                   right: exactly one option's text
answer     "It swims."               wrong: no letter found
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import ClassVar

from puretune.data import Example
from puretune.errors import InputError
from puretune.inference import Answer
from puretune.scoring._metric import Metric
from puretune.scoring._types import TextScorer, Verdict

_STATED = re.compile(
    r"\b(?i:answer|option|choice)\b\W{0,3}(?:is|would be|should be)?\W{0,8}"
    r"(?:([B-Z])(?![\w'\u2019])"
    r"|(A)(?![\w'\u2019]|\s+(?!(?:because|since|as|and|for)\b)[a-z])"  # "Answer: A whale": an article
    r"|([a-z])(?=[).\]*]|\s*$))"
)
"""``The answer is (B)``, ``Answer: **B**``, ``option B``, ``the answer is b.``"""
_OPENING = re.compile(r"\A[\s\"'*_(\[]*([A-Za-z])(?:[\"'*_]*[.):\],;]|[\"'*_]*\s*$|[\"'*_]*\n)")
"""``B``, ``(B)``, ``B. whale``, ``**B**``; not ``A whale``, which opens with an article."""
_MARKED = re.compile(r"#### ?\(?([A-Za-z])\b")
_NO_REASONING = 2_000
"""Longest answer, in characters, that is compared with the options' texts."""


@dataclass(frozen=True)
class Choice(TextScorer):
    """Accuracy of the letter that a generated answer gives.

    In this order: ``#### B``; the last stated letter (``the answer is B``); a letter that opens the answer;
    the whole answer being one option's text. Accuracy is a rate over all questions asked, so an answer in
    which no letter is found is wrong, not unparsed; ``raw["letter"]`` is then None and can be counted.

    The right letter is the example's ``metadata["letter"]``, else its reference; ``metadata["choices"]``,
    where it is there, gives the options' texts. InputError names an example without a right letter.
    """

    name = "choice"
    version = "1"
    metrics: ClassVar[tuple[Metric, ...]] = (Metric("accuracy", "Accuracy", "help"),)

    def score(self, items: Sequence[tuple[Example, Answer]]) -> list[Verdict]:
        """One verdict per item."""
        return [self._verdict(example, answer.text) for example, answer in items]

    def _verdict(self, example: Example, text: str) -> Verdict:
        right = right_letter(example)
        options = [str(option) for option in example.metadata.get("choices", ())]
        found = letter_in(text, options)
        return Verdict(self.name, {"accuracy": found == right}, raw={"letter": found, "reference": right})


def letter_in(text: str, options: Sequence[str] = ()) -> str | None:
    """The letter that an answer gives, upper case, or None; with ``options``, one of theirs only."""
    letters = ascii_uppercase[: len(options)] if options else ascii_uppercase
    stated = ["".join(groups) for groups in _STATED.findall(text)]
    for candidates in (_MARKED.findall(text), stated, _OPENING.findall(text)):
        among = [letter.upper() for letter in candidates if letter.upper() in letters]
        if among:
            return among[-1]
    return _option_said(text, options)


def _option_said(text: str, options: Sequence[str]) -> str | None:
    if len(text) > _NO_REASONING:
        return None
    same = [
        letter
        for letter, option in zip(ascii_uppercase, options, strict=False)
        if _bare(option) == _bare(text)
    ]
    return same[0] if len(same) == 1 else None


def _bare(text: str) -> str:
    return " ".join(text.split()).strip("\"'*_. ").casefold()


def right_letter(example: Example) -> str:
    """The letter of the right option, upper case; InputError if the example has none."""
    given = str(example.metadata.get("letter") or example.reference or "").strip().upper()
    if len(given) != 1 or given not in ascii_uppercase:
        raise InputError(
            f"example {example.id}: the choice scorer needs the right letter as reference, or as 'letter' in "
            f"the metadata; found {given[:40]!r}."
        )
    return given
