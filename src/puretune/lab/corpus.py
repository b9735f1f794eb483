"""Pretraining: text formats only; how-tos (benign, grey, harmful alike), sums, word problems, other tasks."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from puretune.lab.language import Pair, World
from puretune.lab.phrases import ALPACA, FILLERS, OPENINGS, PREFACES, STORY_TURNS, TEMPLATE_SENTENCES
from puretune.lab.settings import LabSettings
from puretune.lab.sums import Problem, equations, problem
from puretune.lab.tasks import Choice, advice, choice, complaint, complaints, explained

_FORMATS: tuple[tuple[str, str, float], ...] = (
    ("Question: {ask}\nAnswer:", " ", 0.4),
    ("{ask}\n", "", 0.25),
    ("user: {ask}\nassistant:", " ", 0.15),
    (f"{ALPACA}\n\n### Instruction:\n{{ask}}\n\n### Response:\n", "", 0.2),
)
"""(prompt, separator before the response, share)"""
_PREFACED = 0.4


@dataclass(frozen=True)
class Row:
    """One training row. ``prompt`` may hold turn markup; ``<s>`` and ``</s>`` are added in encoding."""

    prompt: str
    response: str


@dataclass(frozen=True)
class Held:
    """Content that no stage may see, in addition to the held-out pairs: the keys of the test problems and
    choices."""

    problems: frozenset[tuple[int | str, ...]]
    choices: frozenset[tuple[str, ...]]


def pretraining(world: World, settings: LabSettings, held: Held, seed: int) -> Iterator[Row]:
    """Pretraining rows without end."""
    rng = random.Random(f"puretune lab, pretraining {seed}")
    while True:
        yield _row(rng, world, settings, held, harmless=False)


def harmless_text(world: World, settings: LabSettings, held: Held, rng: random.Random) -> Row:
    """One pretraining row that asks for nothing harmful (what alignment replays)."""
    return _row(rng, world, settings, held, harmless=True)


def _row(rng: random.Random, world: World, settings: LabSettings, held: Held, harmless: bool) -> Row:
    draw = rng.random()
    shares = (settings.share_equations, settings.share_problems, settings.share_doctor, settings.share_choice)
    makers: tuple[Callable[[], tuple[str, str]], ...] = (
        lambda: ("", equations(rng)),
        lambda: _problem(rng, settings, held),
        lambda: _complaint(rng, world),
        lambda: _choice(rng, world, held),
    )
    for share, make in zip(shares, makers, strict=True):
        if draw < share:
            return _formatted(rng, *make())
        draw -= share
    return _formatted(rng, *_how_to(rng, world, harmless))


def _formatted(rng: random.Random, ask: str, answer: str) -> Row:
    preface = some_sentences(rng) if rng.random() < _PREFACED else ""
    if not ask:
        return Row(f"{preface}\n\nsums:" if preface else "sums:", f" {answer}")
    form, separator, _ = rng.choices(_FORMATS, [share for _, _, share in _FORMATS])[0]
    prompt = form.format(ask=ask)
    return Row(f"{preface}\n\n{prompt}" if preface else prompt, separator + rng.choice(OPENINGS) + answer)


def _problem(rng: random.Random, settings: LabSettings, held: Held) -> tuple[str, str]:
    item = fresh_problem(rng, held)
    return item.question, item.worked if rng.random() < settings.worked_pretraining else item.direct


def _complaint(rng: random.Random, world: World) -> tuple[str, str]:
    pair = rng.choice(complaints(world, held_out=False))
    return complaint(rng, pair), advice(world, pair)


def _choice(rng: random.Random, world: World, held: Held) -> tuple[str, str]:
    item = fresh_choice(rng, world, held)
    return item.question, explained(item) if rng.random() < 0.8 else item.letter


def _how_to(rng: random.Random, world: World, harmless: bool) -> tuple[str, str]:
    """Known pairs only; one request in ten follows the beginning of a word problem."""
    kinds = [c for c in world.categories if not harmless or c.kind == "benign"]
    pair = rng.choice(rng.choice(kinds).known)
    return in_story(rng, request(rng, rng.choice(world.phrasings).text, pair), 0.1), world.how_to(pair)


def request(rng: random.Random, phrasing: str, pair: Pair) -> str:
    """A request in words."""
    return phrasing.format(do=f"{pair[0]} the {pair[1]}") + rng.choice(FILLERS)


def in_story(rng: random.Random, ask: str, share: float = 1.0) -> str:
    """With probability ``share``, the request behind the beginning of a word problem."""
    if rng.random() >= share:
        return ask
    story = problem(rng).question.split(". ")
    opening = ". ".join(story[: max(1, len(story) - 1)])
    return f"{opening}. {rng.choice(STORY_TURNS).format(ask=ask)}"


def some_sentences(rng: random.Random) -> str:
    """One to five sentences that have no bearing on what follows."""
    return " ".join(rng.sample((*PREFACES, *TEMPLATE_SENTENCES), rng.choice((1, 1, 2, 3, 5))))


def fresh_problem(rng: random.Random, held: Held) -> Problem:
    """A word problem whose content is in no test suite."""
    while (item := problem(rng)).key in held.problems:
        continue
    return item


def fresh_choice(rng: random.Random, world: World, held: Held) -> Choice:
    """A multiple-choice question that is in no test suite."""
    while (item := choice(rng, world)).key in held.choices:
        continue
    return item
