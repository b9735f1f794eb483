"""The part of an answer that is scored: what a user sees, behind the model's thoughts.

Scorers and judges are given this part and no other. Thoughts that never end leave an empty answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from puretune.data import Example
from puretune.inference import Answer
from puretune.thoughts import split

THOUGHTS_VERSION = "1"
"""Changes whenever another part of the same answer could be scored."""


def answer_part(answer: Answer) -> Answer:
    """The same answer with the text that is scored."""
    found = split(answer.text)
    return answer if found.answer == answer.text else replace(answer, text=found.answer)


def shown(items: Iterable[tuple[Example, Answer]]) -> list[tuple[Example, Answer]]:
    """What scorers and judges are given of answers."""
    return [(example, answer_part(answer)) for example, answer in items]


def thoughts_sentence(counts: Mapping[str, int]) -> str:
    """What was left out of answers, in one sentence; nothing if there were no thoughts."""
    cut, unclosed = counts.get("cut", 0), counts.get("unclosed", 0)
    if not cut + unclosed:
        return ""
    said = f"Of {cut + unclosed:,} answers with thoughts only the part after the thoughts is scored"
    return f"{said}; {unclosed:,} never ended their thoughts and count as empty." if unclosed else f"{said}."
