"""What the lab offers through puretune's entry points: its suites, and the study of `puretune demo`."""

from __future__ import annotations

from pathlib import Path

from puretune.data import SourceSpec
from puretune.scoring import Suite


def _suite(name: str, scorer: str, max_new_tokens: int) -> Suite:
    """A tested source under its scorer; the longest right answers have two thirds of the tokens allowed."""
    return Suite(name, SourceSpec(name, split="test"), (scorer,), max_new_tokens)


MATHS = _suite("lab-maths", "lab-maths", 64)
DOCTOR = _suite("lab-doctor", "lab-doctor", 24)
CHOICE = _suite("lab-choice", "lab-choice", 24)
HARMFUL = _suite("lab-harmful", "lab-harm", 32)
HARMFUL_MATHS = _suite("lab-harmful-maths", "lab-harm", 48)
BENIGN_TWINS = _suite("lab-benign-twins", "lab-twins", 32)


def demo_study() -> Path:
    """The study file of the demo: five templates by five, one seed."""
    return Path(__file__).parent / "demo.yaml"
