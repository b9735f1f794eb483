"""The scorers of a study's suites: what the study says, or else the suite's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from puretune.data import Example
from puretune.errors import EnvironmentFault, InputError
from puretune.inference import Answer
from puretune.models import ModelSpec
from puretune.scoring import Metric, ScoredBase, Scorer, Suite, TextScorer, Verdict, scorer_from
from puretune.study.spec.judges import JudgeSection
from puretune.study.spec.study import Study


@dataclass
class AbsentScorer(TextScorer):
    """Stands for a scorer whose weights are not here, where a study is only counted."""

    name: str
    lacking: str
    version: str = "absent"
    metrics: tuple[Metric, ...] = ()

    def score(self, items: Sequence[tuple[Example, Answer]]) -> list[Verdict]:
        """EnvironmentFault: what is missing."""
        raise EnvironmentFault(self.lacking)


def scorers_of(study: Study, suites: Sequence[Suite], dry: bool = False) -> list[tuple[Scorer, ...]]:
    """The scorers of every suite, made once. ``dry``: one whose weights are missing is an ``AbsentScorer``.

    InputError, with the place in the study, for unknown scorers, wrong judges and names that clash.
    """
    return _shared([_scorers(study, number, suite, dry) for number, suite in enumerate(suites)])


def on_base(
    scorers: Sequence[tuple[Scorer, ...]], spec: ModelSpec, fingerprint: str, directory: Path | None
) -> list[tuple[Scorer, ...]]:
    """The scorers on the study's base. InputError if one needs its weights and only an endpoint has them."""
    base = ScoredBase(spec, fingerprint, directory)
    made: dict[str, Scorer] = {}
    for scorer in (one for of_suite in scorers for one in of_suite):
        if scorer.name not in made:
            made[scorer.name] = scorer.open(base)
    return [tuple(made[one.name] for one in of_suite) for of_suite in scorers]


def _scorers(study: Study, number: int, suite: Suite, dry: bool) -> tuple[Scorer, ...]:
    """What the study says, or else the named suite's own."""
    entry = study.suites[number]
    said = () if isinstance(entry, str) else entry.scorers
    with study.at("suites", number):
        found = tuple(_scorer(one, dry) for one in said or suite.scorers)
        names = [scorer.name for scorer in found]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InputError(f"two scorers are called {twice!r}. Leave one out, or give a judge a `name`.")
        return found


def _scorer(said: str | JudgeSection, dry: bool) -> Scorer:
    try:
        return scorer_from(said if isinstance(said, str) else said.settings())
    except EnvironmentFault as error:
        if not dry:
            raise
        name = said if isinstance(said, str) else said.name or said.judge
        return AbsentScorer(name, f"scorer {name!r}: {error}")


def _shared(scorers: list[tuple[Scorer, ...]]) -> list[tuple[Scorer, ...]]:
    """The same scorer of several suites is one. InputError if two different ones have the same name."""
    known: dict[str, Scorer] = {}
    for scorer in (one for of_suite in scorers for one in of_suite):
        if known.setdefault(scorer.name, scorer).version != scorer.version:
            raise InputError(
                f"two different scorers are called {scorer.name!r}. Give a judge another `name`."
            )
    return [tuple(known[one.name] for one in of_suite) for of_suite in scorers]
