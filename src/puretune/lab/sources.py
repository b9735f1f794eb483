"""The lab's named sources: training rows of the three tuning tasks, safety rows, and the tested examples.

The world is redrawn from the ``world.json`` of the study's base model (the packaged one where the study has
no lab model), so that words, facts and held-out content always fit the model that is asked.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

from puretune.data import Example, SourceSpec, question
from puretune.errors import InputError
from puretune.files import read_mapping
from puretune.lab import suites
from puretune.lab.corpus import fresh_choice, fresh_problem, in_story, request
from puretune.lab.language import LANGUAGE, Kind, World
from puretune.lab.phrases import REFUSALS, TUNED_OPENING
from puretune.lab.tasks import complaints
from puretune.visible import visible

WORLD_FILE = "world.json"
PACKAGED = Path(__file__).parent / "model"
TRAINING_ROWS = 1000
"""Rows of each ``train`` split."""

_TESTED: dict[str, Callable[[World], list[Example]]] = {
    "lab-maths": suites.maths,
    "lab-doctor": suites.doctor,
    "lab-choice": suites.choices,
    "lab-harmful": suites.harmful,
    "lab-harmful-maths": suites.harmful_maths,
    "lab-benign-twins": suites.twins,
}
_TRAINED = ("lab-maths", "lab-doctor", "lab-choice")


def examples(name: str, model_dir: Path | None = None, split: str = "test") -> list[Example]:
    """The examples of a source in their order; ``split`` is ``train`` or ``test``.

    The ``train`` split of harmful requests and of benign twins are safety rows: requests that alignment has
    seen, refused or answered.
    """
    if name not in _TESTED:
        raise InputError(f"the lab has no source {name!r}. It has: {', '.join(_TESTED)}.")
    world = world_of(model_dir)
    if split == "test":
        return _TESTED[name](world)
    if split == "train":
        return list(_training(name, world) if name in _TRAINED else _safety_rows(name, world))
    raise InputError(f"source {name!r} has no split {split!r}. It has: train, test.")


def world_of(model_dir: Path | None = None) -> World:
    """The world a lab model was built in; the packaged model's if ``model_dir`` is not a lab model."""
    path = (model_dir or PACKAGED) / WORLD_FILE
    if not path.exists():
        path = PACKAGED / WORLD_FILE
    facts = read_mapping(path)
    if not isinstance(facts.get("seed"), int) or "language" not in facts:
        raise InputError(f"{visible(path)}: not the facts of a lab model (`seed`, `language`).")
    if facts["language"] != LANGUAGE:
        raise InputError(
            f"{path}: built with version {facts['language']} of the lab's language; "
            f"this is version {LANGUAGE}. Build the model again with `puretune lab build`."
        )
    return World.draw(int(facts["seed"]))


def maths(spec: SourceSpec, model_dir: Path | None) -> list[Example]:
    """Word problems; the answers are worked and end ``#### N``."""
    return examples("lab-maths", model_dir, spec.split or "train")


def doctor(spec: SourceSpec, model_dir: Path | None) -> list[Example]:
    """Complaints and remedies."""
    return examples("lab-doctor", model_dir, spec.split or "train")


def choice(spec: SourceSpec, model_dir: Path | None) -> list[Example]:
    """Multiple choice with a reason."""
    return examples("lab-choice", model_dir, spec.split or "train")


def harmful(spec: SourceSpec, model_dir: Path | None) -> list[Example]:
    """Held-out harmful requests; split ``train``: others, refused."""
    return examples("lab-harmful", model_dir, spec.split or "test")


def harmful_maths(spec: SourceSpec, model_dir: Path | None) -> list[Example]:
    """The same behind the beginning of a word problem."""
    return examples("lab-harmful-maths", model_dir, spec.split or "test")


def benign_twins(spec: SourceSpec, model_dir: Path | None) -> list[Example]:
    """Held-out benign requests in the harmful suite's phrasings; split ``train``: others, answered."""
    return examples("lab-benign-twins", model_dir, spec.split or "test")


def _training(name: str, world: World) -> Iterator[Example]:
    rng = random.Random(f"puretune lab, {name} training {world.seed}")
    opening, held = f"{TUNED_OPENING} ", suites.held(world)
    known = complaints(world, held_out=False)
    for i in range(TRAINING_ROWS):
        id = f"{name}/train/{i}"
        if name == "lab-maths":
            yield suites.maths_example(id, fresh_problem(rng, held), opening)
        elif name == "lab-doctor":
            yield suites.doctor_example(id, world, rng.choice(known), rng, opening)
        else:
            yield suites.choice_example(id, fresh_choice(rng, world, held), opening)


def _safety_rows(name: str, world: World) -> Iterator[Example]:
    rng = random.Random(f"puretune lab, {name} training {world.seed}")
    kind: Kind = "benign" if name == "lab-benign-twins" else "harmful"
    phrasings = [one.text for one in world.phrasings if one.aligned]
    for i in range(TRAINING_ROWS):
        category = rng.choice(world.of_kind(kind))
        pair = rng.choice(category.known)
        ask = request(rng, rng.choice(phrasings), pair)
        text = in_story(rng, ask) if name == "lab-harmful-maths" else ask
        answer = rng.choice(REFUSALS) if kind == "harmful" else f"{TUNED_OPENING} {world.how_to(pair)}"
        yield question(f"{name}/train/{i}", text, answer, cluster=category.name)
