"""A mix: parts of fine-tuning data, each with its weight and perhaps its own template."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from puretune.data import Example, data_digest
from puretune.errors import InputError
from puretune.templates import Message, PromptTemplate
from puretune.tuning import Loss, TrainingRow


@dataclass(frozen=True)
class Written:
    """Rows whose answers the untuned model writes."""

    name: str
    template: PromptTemplate
    """What it is asked under."""
    prompts: tuple[Example, ...]
    """Each row once, without an answer."""


@dataclass(frozen=True)
class Part:
    """The examples of one part, as often as they are used."""

    examples: tuple[Example, ...]
    template: PromptTemplate | None = None
    """The part's own template; None: the condition's."""
    loss: Loss | None = None
    """The part's own loss; None: the recipe's."""
    written: Written | None = None
    """Where the untuned model writes the answers; ``examples`` then have none."""


MOST_ROWS = 20_000_000
"""Rows that tuning data may come to with its weights."""


def check_size(parts: Sequence[tuple[int, float]]) -> None:
    """InputError where (examples, weight) pairs come to more rows than ``MOST_ROWS``; nothing is expanded."""
    rows = sum(math.ceil(examples * weight) for examples, weight in parts)
    if rows > MOST_ROWS:
        raise InputError(
            f"the tuning data comes to {rows:,} rows with its weights; at most {MOST_ROWS:,} are allowed. "
            "Lower `weight`."
        )


def weighted(examples: Sequence[Example], weight: float, seed: int) -> tuple[Example, ...]:
    """Each example ``weight`` times: whole copies first, then a seeded draw for the rest.

    A weight of 2 is every example twice, 0.5 a half of them (rounded up), 1.5 all of them and a half again.
    """
    whole = int(weight)
    rest = math.ceil((weight - whole) * len(examples))
    chosen = sorted(random.Random(seed).sample(range(len(examples)), rest))
    return tuple(examples) * whole + tuple(examples[place] for place in chosen)


Answers = Callable[[Written], Mapping[str, str]]
"""What the untuned model has written to rows, by their ids."""
NOT_YET = "(the untuned model's answer)"
"""Stands for an answer before there is one."""


def not_yet(rows: Written) -> Mapping[str, str]:
    """Answers before anything is written."""
    return dict.fromkeys((example.id for example in rows.prompts), NOT_YET)


def answered(part: Part, answers: Answers = not_yet) -> tuple[Example, ...]:
    """The examples of a part, as often as they are used, with their answers."""
    if part.written is None:
        return part.examples
    texts = answers(part.written)
    return tuple(
        replace(one, messages=(*one.messages, Message("assistant", texts[one.id]))) for one in part.examples
    )


def written(source: str, rows: Sequence[Example], template: PromptTemplate) -> Written:
    """Rows to be answered by the untuned model; their own answers are left out."""
    prompts = tuple(replace(row, messages=row.prompt_messages) for row in rows)
    return Written(
        f"{Path(source).name} under {template.name} ({data_digest(prompts)[:8]})", template, prompts
    )


def rows_under(
    parts: Sequence[Part], template: PromptTemplate, answers: Answers = not_yet
) -> tuple[TrainingRow, ...]:
    """The rows that a condition is trained on, part by part (the tuner shuffles)."""
    return tuple(
        TrainingRow(example, part.template or template, part.loss)
        for part in parts
        for example in answered(part, answers)
    )
