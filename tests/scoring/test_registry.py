"""Scorers and suites by name."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from puretune import plugins
from puretune.data import NAMED_SOURCES, SourceSpec, question
from puretune.errors import EnvironmentFault, InputError
from puretune.inference import Answer
from puretune.scoring import (
    BUILTIN_SCORERS,
    BUILTIN_SUITES,
    Refusal,
    Suite,
    metric_names,
    scorer_named,
    suite_named,
)

NEED_A_MODEL = ("llama-guard-3", "harmbench", "bertscore")
OWN = Suite("own", SourceSpec("own.jsonl"), ("refusal",))


@pytest.mark.parametrize("name", BUILTIN_SUITES)
def test_a_builtin_suite_has_a_source_a_split_and_scorers_that_exist(name: str) -> None:
    suite = suite_named(name)
    assert suite.source.split in NAMED_SOURCES[suite.source.source].splits
    assert all(scorer_named(scorer).name == scorer for scorer in suite.scorers)


def test_a_matcher_reports_a_refusal_rate_and_never_attack_success() -> None:
    assert [metric.name for metric in scorer_named("refusal").metrics] == ["refusal_rate"]
    harmful = {name for suite in BUILTIN_SUITES.values() for name in suite.scorers} - set(NEED_A_MODEL)
    assert all("asr" not in metric_names(scorer_named(name)) for name in harmful)
    verdicts = Refusal().score([(question("e", "Q?"), Answer("k", 0, "Sure!", (), "stop"))])
    assert verdicts[0].behaviour is None  # not matched is not complied


@pytest.mark.parametrize("name", NEED_A_MODEL)
def test_a_scorer_whose_model_is_not_there_says_so_when_it_is_made(name: str) -> None:
    assert name in BUILTIN_SCORERS
    with pytest.raises(EnvironmentFault, match="cannot be downloaded"):
        scorer_named(name)


def test_unknown_names_are_told_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"unknown scorer 'gsm9k'. Did you mean 'gsm8k'"):
        scorer_named("gsm9k")
    with pytest.raises(InputError, match=r"unknown suite 'arc-esay'. Did you mean 'arc-easy'"):
        suite_named("arc-esay")


def test_packages_offer_scorers_and_suites(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint("mine", "puretune.scoring:Refusal", "puretune.scorers"),
        EntryPoint("own", f"{__name__}:OWN", "puretune.suites"),
        EntryPoint("broken", "no_such_module:x", "puretune.suites"),
    ]
    monkeypatch.setattr(plugins, "entry_points", lambda group: [p for p in points if p.group == group])
    assert isinstance(scorer_named("mine"), Refusal)
    assert suite_named("own") is OWN
    with pytest.raises(EnvironmentFault, match=r"suite 'broken'.*cannot be loaded"):
        suite_named("broken")
