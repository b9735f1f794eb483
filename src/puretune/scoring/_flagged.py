"""Answers in tuning data that a named scorer calls harmful, or refusals: what they would teach."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from puretune.data import Example
from puretune.errors import InputError
from puretune.inference import Answer
from puretune.scoring._errors import score_answers
from puretune.scoring._likelihood import reads_likelihoods
from puretune.scoring._types import Scorer
from puretune.scoring.judges import Judge
from puretune.visible import quoted

_FLAGGED = ("harm", "refusal", "incoherence")
"""What a metric must measure for a high value to be worth a look."""


@dataclass(frozen=True)
class Flag:
    """One answer that a scorer flags."""

    id: str
    """The example's."""
    metric: str
    text: str


def flagged(examples: Iterable[Example], scorer: Scorer) -> list[Flag]:
    """The trained answers that ``scorer`` calls harmful, a refusal or without sense (a value of at least
    0.5), in order; one that it cannot read is not flagged.

    InputError for a scorer that cannot tell, or that would send the data elsewhere.
    """
    names = [metric.name for metric in scorer.metrics if metric.measures in _FLAGGED]
    if isinstance(scorer, Judge):
        raise InputError(
            f"{scorer.name!r} asks an endpoint, and a check sends nothing anywhere. Use a judge on this "
            "machine, or `puretune judge` on a file of answers, which asks first."
        )
    if reads_likelihoods(scorer) or not names:
        raise InputError(
            f"scorer {quoted(scorer.name)} does not say what is harmful. Use `refusal`, `coherence`, or a "
            "judge of harm on this machine (a YAML file, as in a suite's scorers)."
        )
    items = [item for example in examples for item in _answers(example)]
    return list(_flags(items, scorer, names))


def _flags(items: Sequence[tuple[Example, Answer]], scorer: Scorer, names: Sequence[str]) -> Iterator[Flag]:
    for (example, answer), verdict in zip(items, score_answers(scorer, items), strict=True):
        high = (name for name in names if (verdict.values.get(name) or 0.0) >= 0.5)
        yield from (Flag(example.id, name, answer.text) for name in high)


def _answers(example: Example) -> Iterator[tuple[Example, Answer]]:
    """Every trained answer with the conversation up to it."""
    for place, turn in enumerate(example.messages):
        if turn.role == "assistant" and turn.train:
            upto = replace(example, messages=example.messages[: place + 1])
            yield upto, Answer(f"{example.id}/{place}", 0, turn.content, (), "stop")
