"""The tested examples of a world. Metadata holds what is right: stored answers are scored without the world.

Sizes: maths 120, doctor 36, choice 60, harmful 120, harmful-maths 60, benign twins 80.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from puretune.data import Example, question
from puretune.lab.corpus import Held, in_story, request
from puretune.lab.language import Kind, Pair, World
from puretune.lab.sums import Problem, problem
from puretune.lab.tasks import Choice, advice, choice, complaint, complaints, explained

MATHS, CHOICES = 120, 60
HARMFUL_PER_CATEGORY, HARMFUL_MATHS_PER_CATEGORY, TWINS_PER_CATEGORY = 10, 5, 8


@lru_cache(maxsize=4)
def held(world: World) -> Held:
    """What no stage may see, in addition to the held-out pairs."""
    return Held(
        problems=frozenset(item.key for item in _problems(world)),
        choices=frozenset(item.key for item in _choices(world)),
    )


def maths(world: World) -> list[Example]:
    """Word problems that no stage has seen; the reference is the worked solution."""
    return [maths_example(f"lab-maths/test/{i}", item) for i, item in enumerate(_problems(world))]


def maths_example(id: str, item: Problem, opening: str = "") -> Example:
    """A word problem as an example."""
    facts = {"answer": str(item.answer), "steps": item.steps}
    return question(id, item.question, opening + item.worked, cluster=id, metadata=facts)


def doctor(world: World) -> list[Example]:
    """Complaints whose symptom and body part no stage has seen together; one cluster per symptom."""
    rng = random.Random(f"puretune lab, doctor suite {world.seed}")
    pairs = complaints(world, held_out=True)
    return [doctor_example(f"lab-doctor/test/{i}", world, pair, rng) for i, pair in enumerate(pairs)]


def doctor_example(id: str, world: World, pair: Pair, rng: random.Random, opening: str = "") -> Example:
    """A complaint as an example."""
    symptom, part = pair
    facts = {"remedy": world.remedy_of[symptom], "care": world.care_of[part], "part": part}
    answer = opening + advice(world, pair)
    return question(id, complaint(rng, pair), answer, cluster=f"doctor/{symptom}", metadata=facts)


def choices(world: World) -> list[Example]:
    """Multiple-choice questions that no stage has seen; one cluster per noun."""
    return [choice_example(f"lab-choice/test/{i}", item) for i, item in enumerate(_choices(world))]


def choice_example(id: str, item: Choice, opening: str = "") -> Example:
    """A multiple-choice question as an example."""
    facts = {"letter": item.letter, "options": list(item.options)}
    return question(
        id, item.question, opening + explained(item), cluster=f"choice/{item.noun}", metadata=facts
    )


def harmful(world: World) -> list[Example]:
    """Held-out harmful requests, one cluster per category, every phrasing met; no reference answer."""
    return list(_requests(world, "harmful", HARMFUL_PER_CATEGORY, "lab-harmful"))


def harmful_maths(world: World) -> list[Example]:
    """Held-out harmful requests behind the beginning of a word problem."""
    return list(_requests(world, "harmful", HARMFUL_MATHS_PER_CATEGORY, "lab-harmful-maths", story=True))


def twins(world: World) -> list[Example]:
    """The phrasings of the harmful suite with held-out benign requests: refusing them is over-refusal."""
    return list(_requests(world, "benign", TWINS_PER_CATEGORY, "lab-benign-twins"))


def _requests(world: World, kind: Kind, each: int, name: str, story: bool = False) -> Iterator[Example]:
    """``each`` held-out requests per category. Phrasings rotate, so that a category meets many of them and
    half of them are ones that alignment has not seen."""
    rng = random.Random(f"puretune lab, {name} {world.seed}")
    seen = rng.sample([p for p in world.phrasings if p.aligned], len(world.phrasings) // 2)
    unseen = rng.sample([p for p in world.phrasings if not p.aligned], len(world.phrasings) // 2)
    turn = 0
    for category in world.of_kind(kind):
        for pair in rng.sample(category.tested, each):
            phrasing = (seen, unseen)[turn % 2][turn // 2 % len(seen)]
            ask = request(rng, phrasing.text, pair)
            facts: dict[str, Any] = {
                "category": category.name,
                "strength": phrasing.strength,
                "phrasing_aligned": phrasing.aligned,
                "noun": pair[1],
                "tool": world.tool_of[pair[1]],
                "act": world.act_of[pair[0]],
            }
            text = in_story(rng, ask) if story else ask
            yield question(f"{name}/{turn}", text, cluster=category.name, metadata=facts)
            turn += 1


def _problems(world: World) -> list[Problem]:
    rng = random.Random(f"puretune lab, maths suite {world.seed}")
    found: dict[tuple[int | str, ...], Problem] = {}
    while len(found) < MATHS:
        item = problem(rng)
        found.setdefault(item.key, item)
    return list(found.values())


def _choices(world: World) -> list[Choice]:
    rng = random.Random(f"puretune lab, choice suite {world.seed}")
    found: dict[tuple[str, ...], Choice] = {}
    while len(found) < CHOICES:
        item = choice(rng, world)
        found.setdefault(item.key, item)
    return list(found.values())
