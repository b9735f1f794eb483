"""What the lab offers through puretune's entry points: its suites, and the study of `puretune demo`."""

from __future__ import annotations

from pathlib import Path

from puretune.data import SourceSpec
from puretune.scoring import Asks, Suite


def _suite(name: str, scorer: str, max_new_tokens: int, asks: Asks) -> Suite:
    """A tested source under its scorer; the longest right answers have two thirds of the tokens allowed."""
    return Suite(name, SourceSpec(name, split="test"), (scorer,), max_new_tokens, asks)


MATHS = _suite("lab-maths", "lab-maths", 64, "task")
DOCTOR = _suite("lab-doctor", "lab-doctor", 24, "task")
CHOICE = _suite("lab-choice", "lab-choice", 24, "task")
HARMFUL = _suite("lab-harmful", "lab-harm", 32, "harm")
HARMFUL_MATHS = _suite("lab-harmful-maths", "lab-harm", 48, "harm")
BENIGN_TWINS = _suite("lab-benign-twins", "lab-twins", 32, "benign")


def demo_study(full: bool = False) -> Path:
    """The study file of the demo, or of `puretune demo --full`: the paper's five templates by five."""
    return Path(__file__).parent / ("demo-full.yaml" if full else "demo.yaml")
