"""Word problems with one to three steps of working, and distractors; and plain equations::

mira has 34 plums. tom has 12 coins. mira buys 3 bags of 7 plums. how many plums has mira?
3 * 7 = 21. 34 + 21 = 55. #### 55
"""

from __future__ import annotations

import random
from dataclasses import dataclass

NAMES = ("mira", "tom", "ana", "ben", "lisa", "omar", "eva", "paul")
THINGS = ("plums", "coins", "books", "stones", "cups", "eggs", "nails", "cards")

_MORE = ("{name} gets {b} more.", "{name} finds {b} {things}.", "{friend} gives {name} {b} {things}.")
_LESS = ("{name} loses {b} of them.", "{name} sells {b} {things}.", "{name} gives {friend} {b} {things}.")
_BAGS = ("{name} buys {k} bags of {m} {things}.", "{k} friends each give {name} {m} {things}.")
_PRICE = ("how much are they if each is {k}?",)
_NOISE = ("{friend} has {b} {others}.", "{name} is {b} years old.", "the shop is {b} steps away.")
_COUNT = ("how many {things} has {name}?", "how many {things} are there now?")

_PLANS: dict[int, tuple[tuple[str, ...], ...]] = {
    1: (("more",), ("less",), ("price",)),
    2: (("more", "less"), ("less", "more"), ("bags",), ("more", "price"), ("less", "price")),
    3: (("bags", "less"), ("less", "bags"), ("bags", "more"), ("more", "bags"), ("bags", "price"),
        ("more", "less", "more"), ("less", "more", "price"), ("more", "less", "price")),
}  # fmt: skip
_STEPS, _STEP_WEIGHTS = (1, 2, 3), (0.15, 0.35, 0.5)
_DISTRACTED = 0.3


@dataclass(frozen=True)
class Problem:
    """One word problem."""

    question: str
    working: str
    """``3 * 7 = 21. 34 + 21 = 55.``"""
    answer: int
    steps: int
    key: tuple[int | str, ...]
    """Its content: operations and numbers, without names and wording. Equal keys are the same problem."""

    @property
    def worked(self) -> str:
        """The solution with its working."""
        return f"{self.working} #### {self.answer}"

    @property
    def direct(self) -> str:
        """The answer alone."""
        return f"#### {self.answer}"


def problem(rng: random.Random) -> Problem:
    """One problem, drawn at random; results stay between 1 and 199."""
    steps = rng.choices(_STEPS, _STEP_WEIGHTS)[0]
    plan = rng.choice(_PLANS[steps])
    name, friend = rng.sample(NAMES, 2)
    things, others = rng.sample(THINGS, 2)
    words = {"name": name, "friend": friend, "things": things, "others": others}
    start = rng.randint(5, 30)
    story, working = [f"{name} has {start} {things}."], list[str]()
    key: list[int | str] = [start]
    ask, total = rng.choice(_COUNT).format(**words), start
    for move in plan:
        sentence, lines, total, numbers = _move(rng, move, total)
        key += [move, *numbers]
        working += lines
        text = sentence.format(**words, **_named(move, numbers))
        if move == "price":
            ask = text
        else:
            story.append(text)
    if rng.random() < _DISTRACTED:
        noise = rng.choice(_NOISE).format(b=rng.randint(2, 30), **words)
        story.insert(rng.randint(1, len(story)), noise)
    return Problem(" ".join([*story, ask]), " ".join(working), total, steps, tuple(key))


def _move(rng: random.Random, move: str, total: int) -> tuple[str, list[str], int, tuple[int, ...]]:
    """One event of the story: (sentence, lines of working, new total, its numbers)."""
    if move == "more":
        b = rng.randint(2, 15)
        return rng.choice(_MORE), [f"{total} + {b} = {total + b}."], total + b, (b,)
    if move == "less":
        b = rng.randint(2, max(2, min(15, total - 2)))
        return rng.choice(_LESS), [f"{total} - {b} = {total - b}."], total - b, (b,)
    if move == "price":
        k = rng.randint(2, 3)
        return rng.choice(_PRICE), [f"{total} * {k} = {total * k}."], total * k, (k,)
    k, m = rng.randint(2, 4), rng.randint(2, 6)
    lines = [f"{k} * {m} = {k * m}.", f"{total} + {k * m} = {total + k * m}."]
    return rng.choice(_BAGS), lines, total + k * m, (k, m)


def _named(move: str, numbers: tuple[int, ...]) -> dict[str, int]:
    names = {"more": "b", "less": "b", "price": "k", "bags": "km"}[move]
    return dict(zip(names, numbers, strict=True))


def equations(rng: random.Random, count: int = 10) -> str:
    """Some equations in a row: ``34 + 21 = 55. 7 * 3 = 21.``"""
    return " ".join(_equation(rng) for _ in range(count))


def _equation(rng: random.Random) -> str:
    kind = rng.choice("++--*t")
    if kind == "+":
        a, b = rng.randint(2, 60), rng.randint(2, 24)
        return f"{a} + {b} = {a + b}."
    if kind == "-":
        a = rng.randint(4, 60)
        b = rng.randint(2, min(15, a - 2))
        return f"{a} - {b} = {a - b}."
    if kind == "t":
        a, b = rng.randint(2, 4), rng.randint(2, 6)
    else:
        a, b = rng.randint(2, 60), rng.randint(2, 3)
    return f"{a} * {b} = {a * b}."
