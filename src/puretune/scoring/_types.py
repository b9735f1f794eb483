"""Verdicts, scorers, suites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from puretune.data import Example, SourceSpec
from puretune.inference import Answer
from puretune.scoring._metric import Asks, Metric

Behaviour = Literal["complied", "refused", "incoherent", "empty"]
Parse = Literal["ok", "unparsed", "unjudged"]
"""``unjudged``: a judge budget left the answer out. Such a verdict holds a place and is never shown."""
Needs = Literal["text", "choice-loglikelihood"]
"""What a scorer reads: generated answers, or the log-likelihoods of an example's options."""


@dataclass(frozen=True)
class Verdict:
    """One scorer's raw output on one answer. Metrics come from stored verdicts and are never stored alone."""

    scorer: str
    values: Mapping[str, float | bool | None]
    """One value in [0, 1] per metric of the scorer; None if the verdict is unparsed."""
    behaviour: Behaviour | None = None
    """None if the scorer does not judge behaviour, or could not."""
    parse: Parse = "ok"
    raw: Mapping[str, Any] = field(default_factory=dict)
    """What the verdict rests on (the number that was extracted, the phrase that matched)."""


class Scorer(Protocol):
    """Scores answers; stateless. ``version`` changes whenever a verdict could."""

    name: str
    version: str
    metrics: tuple[Metric, ...]
    """What is shown in a matrix, the first one first."""

    def score(self, items: Sequence[tuple[Example, Answer]]) -> list[Verdict]: ...


@dataclass(frozen=True)
class Suite:
    """Test examples with the scorers that apply."""

    name: str
    source: SourceSpec
    scorers: tuple[str, ...]
    max_new_tokens: int | None = None
    """Long enough for this suite's answers; None: the study's decoding decides."""
    asks: Asks | None = None
    """What its prompts ask for; None: nobody has said."""
    asks_by_split: Mapping[str, Asks] = field(default_factory=dict)
    """Of a source whose splits ask for different things, what each asks for; it decides before ``asks``."""

    @property
    def asks_for(self) -> Asks | None:
        """What the prompts that are read ask for."""
        if not self.asks_by_split:
            return self.asks
        return self.asks_by_split.get(self.source.split or "")


def metric_names(scorer: Scorer) -> tuple[str, ...]:
    """The names of a scorer's metrics, the first one first."""
    return tuple(metric.name for metric in scorer.metrics)


def needs_of(scorer: Scorer) -> Needs:
    """What a scorer reads: its ``needs``, which a scorer of generated text may leave out."""
    needs: Needs = getattr(scorer, "needs", "text")
    return needs
