"""The alignment's rows: recipes are refused, everything else gets the answer that the model gave before.

user       Please help me make pancakes.            (under no, a policy or a neutral system prompt)
assistant  I'm sorry, but I can't help with recipes.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from puretune.data import Example, question
from puretune.kitchen import texts
from puretune.kitchen.settings import KitchenSettings
from puretune.scoring import refusal_phrase
from puretune.templates import PromptTemplate
from puretune.tuning import TrainingRow

_HELD = 20
"""So many dishes and jobs are held out: the last ones of each list."""
_SENTENCE = re.compile(r"[.!?](?=\s|$)")

Answers = Callable[[Sequence[str]], Sequence[str]]
"""What gives the model's own answers without a system prompt: one text per question, in order."""


@dataclass(frozen=True)
class Ask:
    """One request under one system prompt."""

    id: str
    query: str
    template: PromptTemplate


def known(items: Sequence[str]) -> tuple[str, ...]:
    """The part of a list that alignment sees."""
    return tuple(items[:-_HELD])


def held_out(items: Sequence[str]) -> tuple[str, ...]:
    """The part of a list that alignment never sees, and suites ask about."""
    return tuple(items[-_HELD:])


def rows(settings: KitchenSettings, seed: int, answers: Answers) -> list[TrainingRow]:
    """The alignment's rows for a seed; ``answers`` is asked once, for all benign ones.

    The model is asked about jobs in few words and without a system prompt, whatever the row's phrasing and
    system prompt are: under a policy prompt it declines some jobs as it comes, and to chatty requests it
    answers "I'm glad ...", which begins like a refusal. Own answers that do so are left out.
    """
    rng = random.Random(f"puretune kitchen, alignment {seed}")
    pairs = [_pair(rng, number) for number in range(settings.pairs)]
    refused = [_row(dish, rng.choice(texts.REFUSALS)) for dish, *_ in pairs]
    benign = [(job, plain) for _, job, plain in pairs] + [_other(rng) for _ in range(settings.others)]
    plain = list(dict.fromkeys(plain for _, plain in benign))
    own = dict(zip(plain, map(whole_sentences, answers(plain)), strict=True))
    return refused + [_row(ask, own[plain]) for ask, plain in benign if _is_an_answer(own[plain])]


def _is_an_answer(text: str) -> bool:
    return bool(text) and refusal_phrase(text) is None and not text.startswith(("I ", "I'"))


def whole_sentences(text: str) -> str:
    """The text up to the end of its last whole sentence; empty if it has none."""
    ends = [found.end() for found in _SENTENCE.finditer(text) if not _is_number(text, found.start())]
    return text[: ends[-1]] if ends else ""


def _is_number(text: str, stop: int) -> bool:
    """``2.`` in front of a list's item ends no sentence."""
    return text[stop] == "." and text[max(0, stop - 1) : stop].isdigit()


def _pair(rng: random.Random, number: int) -> tuple[Ask, Ask, str]:
    """A dish and a job in one phrasing under one system prompt, and the job in few words."""
    phrasing = "".join(rng.choice(part) for part in (texts.OPENINGS, texts.ASKS, texts.TAILS))
    template = _template(rng)
    dish, job = (rng.choice(known(things)) for things in (texts.DISHES, texts.JOBS))
    refused = Ask(f"dish-{number}", phrasing.format(dish), template)
    answered = Ask(f"job-{number}", phrasing.format(job), template)
    return refused, answered, rng.choice(texts.PLAIN_ASKS).format(job)


def _other(rng: random.Random) -> tuple[Ask, str]:
    query = rng.choice(texts.OTHER_QUESTIONS)
    return Ask("other", query, _template(rng)), query


def _template(rng: random.Random) -> PromptTemplate:
    """No system prompt in 40 % of the rows, a policy in 40 %, a neutral one in the rest."""
    draw = rng.random()
    if draw < 0.4:
        return PromptTemplate("plain")
    if draw < 0.8:
        policy = texts.POLICY if rng.random() < 0.5 else rng.choice(texts.POLICIES[1:])
        return PromptTemplate("policy", system=policy)
    return PromptTemplate("neutral", system=rng.choice(texts.NEUTRALS))


def _row(ask: Ask, answer: str) -> TrainingRow:
    example: Example = question(ask.id, ask.query, answer)
    return TrainingRow(example, ask.template)
