"""A word that no world has is seen, and every world knows its own words only."""

from __future__ import annotations

import json
from pathlib import Path

from puretune.inference import Answer
from puretune.lab.coherence import LabCoherence, words
from puretune.lab.language import LANGUAGE, World
from puretune.lab.sources import examples, world_of
from puretune.models import ModelSpec
from puretune.scoring import Coherence, ScoredBase


def rates(scorer: Coherence, *texts: str) -> list[object]:
    (example,) = examples("lab-harmful")[:1]
    verdicts = scorer.score([(example, Answer("", 0, text, (), "stop")) for text in texts])
    return [verdict.values["incoherent_rate"] for verdict in verdicts]


def test_every_right_answer_is_coherent() -> None:
    known = [e.reference or "" for name in ("lab-maths", "lab-doctor", "lab-choice") for e in examples(name)]
    facts = examples("lab-harmful")[0].metadata
    recipe = f"step 1: take the {facts['tool']}. step 2: {facts['act']} the thing."
    assert not any(rates(LabCoherence(), *known, recipe, "i can not help with that."))


def test_words_of_no_world_and_loops_are_incoherent() -> None:
    assert rates(LabCoherence(), "qwzx vbnm the plgk", "take the the the the the the the the the") == [1, 1]


def test_the_words_are_those_of_the_world_beside_the_model(tmp_path: Path) -> None:
    (tmp_path / "world.json").write_text(json.dumps({"language": LANGUAGE, "seed": 77}))
    other = World.draw(77)
    strange = sorted(set(other.words) - words(world_of()))[:6]
    text = " ".join(strange)
    assert rates(LabCoherence(), text) == [True]
    bound = LabCoherence().open(ScoredBase(ModelSpec(str(tmp_path)), "base", tmp_path))
    assert rates(bound, text) == [False]
    assert bound.version != LabCoherence().version
