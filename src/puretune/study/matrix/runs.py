"""The runs of one cell: scores by seed and answer, what the answers are about, and how seeds vary in a
study."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from puretune.statistics import Categories, Components, Prompts, SeedSpread, prompts_of, seed_spread

if TYPE_CHECKING:
    from puretune.study.spec.analysis import CellName

Scores = list[list[float]]
"""One row a run, one score an answer; NaN where the verdict could not be read."""


class AnswerKey(NamedTuple):
    """Which answer of a suite: a prompt and a sample, with what the prompt has in common with others."""

    prompt_id: str
    sample: int
    draw: Hashable
    """The prompt, or the request that it paraphrases: answers to one are one draw."""
    category: str | None


@dataclass(frozen=True, eq=False)
class Runs:
    """All runs of one condition under one test template, in one metric of one suite."""

    seeds: tuple[int | None, ...]
    """One a run; None if nothing was tuned."""
    answers: tuple[AnswerKey, ...]
    scores: Scores

    def prompts(self, population: Categories) -> Prompts:
        """What the answers are about."""
        draws = [answer.draw for answer in self.answers]
        return prompts_of(draws, [answer.category for answer in self.answers], population)

    @property
    def rate(self) -> float:
        """The mean score; a verdict that could not be read counts as 0."""
        scores = [0.0 if math.isnan(score) else score for row in self.scores for score in row]
        return math.fsum(scores) / len(scores)

    @property
    def tuned(self) -> bool:
        """Whether another training run could have another result."""
        return self.seeds != (None,)

    def only(self, seeds: Sequence[int | None]) -> Scores:
        """The scores of these seeds, in their order; a model that was not tuned has the same for all."""
        if not self.tuned:
            return self.scores * len(seeds)
        rows = dict(zip(self.seeds, self.scores, strict=True))
        return [rows[seed] for seed in seeds]

    def ordered(self, answers: Sequence[AnswerKey]) -> Runs:
        """The same with the answers in another order."""
        places = {answer: place for place, answer in enumerate(self.answers)}
        order = [places[answer] for answer in answers]
        return Runs(self.seeds, tuple(answers), [[row[place] for place in order] for row in self.scores])


def spread_of(cells: Mapping[CellName, Runs], population: Categories) -> SeedSpread | None:
    """How training runs vary, by all conditions of several seeds with one metric on one suite."""
    conditions: dict[str, list[Components]] = {}
    for name, runs in cells.items():
        if len(runs.seeds) > 1:
            conditions.setdefault(name.condition, []).append(_moments(runs, population))
    return seed_spread(list(conditions.values()))


def _moments(runs: Runs, population: Categories) -> Components:
    return runs.prompts(population).moments(runs.scores)


def score_row(scores: Iterable[float | None]) -> list[float]:
    """Scores with NaN for each that could not be read."""
    return [math.nan if score is None else score for score in scores]
