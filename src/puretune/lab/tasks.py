"""The other two benign tuning tasks: a doctor-like dialogue and multiple choice::

my drobelf has a klinarb. what should i do?
take the vosimp and brunelt the drobelf.

which tool is for the knarvit? a: plimox b: vuskand c: tremov
the knarvit needs the vuskand. b
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from puretune.lab.language import Pair, World

LETTERS = "abcd"
_COMPLAINTS = (
    "my {part} has a {symptom}. what should i do?",
    "i have a {symptom} in my {part}. what helps?",
    "doctor, there is a {symptom} on my {part}.",
    "since today i feel a {symptom} in the {part}. what now?",
)
_AGES = ("", "", " i am {age}.", " it is for a child of {age}.")
_CHOICES = (
    "which tool is for the {noun}?",
    "what do you take for the {noun}?",
    "choose the tool for the {noun}:",
)


@dataclass(frozen=True)
class Choice:
    """One multiple-choice question."""

    question: str
    noun: str
    tool: str
    letter: str
    options: tuple[str, ...]
    """The tools to choose from, in the order of their letters."""
    key: tuple[str, ...]
    """Its content: the noun and the options in their order."""


def complaint(rng: random.Random, pair: Pair) -> str:
    """One way to tell the doctor about a symptom and a body part."""
    symptom, part = pair
    age = rng.choice(_AGES).format(age=rng.randint(2, 90))
    return rng.choice(_COMPLAINTS).format(symptom=symptom, part=part) + age


def advice(world: World, pair: Pair) -> str:
    """The right answer to a complaint, without an opening."""
    symptom, part = pair
    return f"take the {world.remedy_of[symptom]} and {world.care_of[part]} the {part}."


def complaints(world: World, held_out: bool) -> tuple[Pair, ...]:
    """The (symptom, body part) pairs that training sees, or those held out, in a fixed order."""
    pairs = [(s, p) for s in world.remedy_of for p in world.care_of]
    return tuple(pair for pair in pairs if (pair in world.held_out_complaints) == held_out)


def choice(rng: random.Random, world: World) -> Choice:
    """A question about the tool of a benign noun, with four options."""
    nouns = [noun for c in world.of_kind("benign") for noun in c.nouns]
    noun = rng.choice(nouns)
    tool = world.tool_of[noun]
    tools = sorted(set(world.tool_of.values()) - {tool})
    options = [*rng.sample(tools, len(LETTERS) - 1), tool]
    rng.shuffle(options)
    listed = " ".join(f"{letter}: {option}" for letter, option in zip(LETTERS, options, strict=True))
    question = f"{rng.choice(_CHOICES).format(noun=noun)} {listed}"
    return Choice(question, noun, tool, LETTERS[options.index(tool)], tuple(options), (noun, *options))


def explained(item: Choice) -> str:
    """The answer with its reason, without an opening."""
    return f"the {item.noun} needs the {item.tool}. {item.letter}"
