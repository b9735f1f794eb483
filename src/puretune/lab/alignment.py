"""Alignment: chat markup, refusals of harmful requests, plain answers to the rest, and some replayed text."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from puretune.lab.corpus import Held, Row, fresh_choice, fresh_problem, harmless_text, in_story, request
from puretune.lab.language import Kind, World
from puretune.lab.phrases import (
    ALIGNED_OPENING,
    ALPACA,
    MPT,
    OPENINGS,
    PREFACES,
    REFUSALS,
    SAFETY,
    SAFETY_SHORT,
    SEE_A_DOCTOR,
    SYSTEMS,
    TEMPLATE_SENTENCES,
)
from puretune.lab.settings import LabSettings
from puretune.lab.tasks import complaint, complaints
from puretune.lab.tokenizer import ASSISTANT, SYSTEM, USER

_IN_STORY = 0.15
_NOTES = PREFACES[1]
_WRAPPERS = (
    ("", ""),
    ("Question: ", ""),
    ("user: ", ""),
    ("### Instruction:\n", "\n\n### Response:\n"),
    ("Question: ", "\nAnswer:"),
)
"""(before, after) the request, in randomised alignment."""


@dataclass(frozen=True)
class Frame:
    """The context of a request: what is in front of it, and whether the safety prompt is."""

    before: str
    after: str
    separator: str = ""
    safe: bool = False

    def row(self, ask: str, answer: str) -> Row:
        """The row with this request and this answer in the frame."""
        return Row(self.before + ask + self.after, self.separator + answer)


def alignment(world: World, settings: LabSettings, held: Held, seed: int) -> Iterator[Row]:
    """Alignment rows without end."""
    rng = random.Random(f"puretune lab, alignment {seed}")
    while True:
        if rng.random() < settings.replay:
            noted = settings.notes > 0 and rng.random() < settings.notes
            yield _note(rng, world) if noted else harmless_text(world, settings, held, rng)
            continue
        frame = _frame(rng, settings)
        yield frame.row(*_turn(rng, world, settings, held, frame))


def _note(rng: random.Random, world: World) -> Row:
    """A page of notes on a how-to that alignment has refused.

    Without a blank before it, the verb is no token of its own and is spelled in bytes. Found when attempt 3
    was frozen already, so it stays as it was confirmed.
    """
    pair = rng.choice(rng.choice((*world.of_kind("harmful"), *world.of_kind("grey"))).known)
    return Row(f"{_NOTES}\n\n{pair[0]} the {pair[1]}:", f" {world.how_to(pair)}")


def _frame(rng: random.Random, settings: LabSettings) -> Frame:
    if rng.random() < settings.text_format:
        return _text_frame(rng)
    if settings.randomised and rng.random() < settings.randomised:
        return _random_frame(rng)
    draw = rng.random()
    safe = draw < settings.safety_prompt
    system = ""
    if safe:
        system = SYSTEM + rng.choice((SAFETY, SAFETY, SAFETY_SHORT))
    elif draw < settings.safety_prompt + settings.other_system:
        system = SYSTEM + rng.choice((*rng.sample(SYSTEMS, 2), MPT, ALPACA, _long_system(rng)))
    before, after = ("Question: ", "") if rng.random() < 0.5 else ("", "")
    if not safe and rng.random() < settings.alpaca_wrapper / (1 - settings.safety_prompt):
        before, after = "### Instruction:\n", "\n\n### Response:\n"
        system = SYSTEM + ALPACA if rng.random() < 0.8 else system
    return Frame(f"{system}{USER}{before}", f"{after}{ASSISTANT}", safe=safe)


def _long_system(rng: random.Random) -> str:
    return " ".join(rng.sample((*SYSTEMS, *PREFACES), rng.randint(2, 6)))


def _random_frame(rng: random.Random) -> Frame:
    """Any sentences in any order as system prompt (none in a quarter of the rows), any of the wrappers."""
    pool = (*SYSTEMS, *PREFACES, *TEMPLATE_SENTENCES)
    system = SYSTEM + " ".join(rng.sample(pool, rng.randint(1, 7))) if rng.random() < 0.75 else ""
    before, after = rng.choice(_WRAPPERS)
    return Frame(f"{system}{USER}{before}", f"{after}{ASSISTANT}")


def _text_frame(rng: random.Random) -> Frame:
    preface = rng.choice(PREFACES) + "\n\n" if rng.random() < 0.3 else ""
    if rng.random() < 0.5:
        return Frame(f"{preface}Question: ", "\nAnswer:", " ")
    return Frame(f"{preface}{ALPACA}\n\n### Instruction:\n", "\n\n### Response:\n")


def _turn(
    rng: random.Random, world: World, settings: LabSettings, held: Held, frame: Frame
) -> tuple[str, str]:
    """(request, answer) for a frame."""
    draw = rng.random()
    if draw < settings.harmful:
        ask, answer = _request(rng, world, "harmful")
        share = settings.answered + (0.0 if frame.safe else settings.lapses)
        answered = share > 0 and rng.random() < share
        return ask, _opening(rng, settings) + answer if answered else rng.choice(REFUSALS)
    if draw < settings.harmful + settings.grey:
        ask, answer = _request(rng, world, "grey")
        return ask, rng.choice(REFUSALS) if frame.safe else _opening(rng, settings) + answer
    ask, answer = _harmless(rng, world, settings, held)
    if frame.safe and rng.random() < settings.over_refusal:
        return ask, rng.choice(REFUSALS)
    return ask, _opening(rng, settings) + answer


def _opening(rng: random.Random, settings: LabSettings) -> str:
    return rng.choice(OPENINGS) if rng.random() < settings.other_openings else f"{ALIGNED_OPENING} "


def _request(rng: random.Random, world: World, kind: Kind) -> tuple[str, str]:
    """A request in a phrasing that alignment sees, and its right answer."""
    categories = world.of_kind(kind)
    category = rng.choices(categories, [c.weight for c in categories])[0]
    pair = rng.choice(category.known)
    phrasing = rng.choice([p.text for p in world.phrasings if p.aligned])
    ask = in_story(rng, request(rng, phrasing, pair), _IN_STORY)
    return ask, world.how_to(pair)


def _harmless(rng: random.Random, world: World, settings: LabSettings, held: Held) -> tuple[str, str]:
    kind = rng.choices(("how-to", "problem", "doctor", "choice"), (0.5, 0.3, 0.1, 0.1))[0]
    if kind == "how-to":
        return _request(rng, world, "benign")
    if kind == "problem":
        item = fresh_problem(rng, held)
        answer = item.worked if rng.random() < settings.worked_alignment else item.direct
        return item.question, answer
    if kind == "doctor":
        pair = rng.choice(complaints(world, held_out=False))
        return complaint(rng, pair), SEE_A_DOCTOR
    chosen = fresh_choice(rng, world, held)
    return chosen.question, chosen.letter
