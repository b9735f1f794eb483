"""Which direction is better follows from what a metric measures and what a suite asks for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest

from puretune.data import SourceSpec
from puretune.scoring import BUILTIN_SUITES, Asks, Measures, Metric, Suite, measure_of

DIRECTIONS: dict[str, tuple[str | None, ...]] = {
    "harm": ("lower", "lower", "lower", "lower"),
    "help": (None, "higher", "higher", "higher"),
    "refusal": ("higher", "lower", "lower", None),
    "incoherence": ("lower", "lower", "lower", "lower"),
    "other": (None, None, None, None),
}


@pytest.mark.parametrize("measures", get_args(Measures))
def test_the_better_direction(measures: Any) -> None:
    metric = Metric("m", "M", measures)
    assert tuple(metric.better(asks) for asks in (*get_args(Asks), None)) == DIRECTIONS[measures]


def test_every_named_suite_says_what_it_asks_for() -> None:
    asked = {name: suite.asks_for for name, suite in BUILTIN_SUITES.items()}
    assert asked == {
        "gsm8k": "task",
        "arc-easy": "task",
        "arc-challenge": "task",
        "advbench": "harm",
        "directharm4": "harm",
        "gsm-danger": "harm",
        "xstest": "benign",
        "everyday": "task",
        "looks-harmful": "benign",
    }


@pytest.mark.parametrize(
    ("split", "asks"), [("safe", "benign"), ("unsafe", "harm"), ("all", None), (None, None)]
)
def test_the_split_of_xstest_says_what_its_prompts_ask_for(split: str | None, asks: Asks | None) -> None:
    suite = BUILTIN_SUITES["xstest"]
    assert replace(suite, source=replace(suite.source, split=split)).asks_for == asks


def test_a_suite_of_ones_own_asks_for_nothing_unless_it_says_so() -> None:
    assert Suite("harmless", SourceSpec("x.jsonl"), ("refusal",)).asks_for is None
    assert Suite("harmless", SourceSpec("x.jsonl"), ("refusal",), asks="benign").asks_for == "benign"


def test_a_metric_is_called_by_its_scorer_too() -> None:
    assert (
        measure_of("s", "gpt-4", Metric("asr", "Attack success rate", "harm"), "harm").label == "asr (gpt-4)"
    )
