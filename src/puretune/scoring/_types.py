"""Verdicts, scorers, suites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self

from puretune.data import Example, SourceSpec
from puretune.inference import Answer
from puretune.models import ModelSpec
from puretune.scoring._metric import Asks, Metric

Behaviour = Literal["complied", "refused", "incoherent", "empty"]
Parse = Literal["ok", "unparsed", "unjudged"]
"""``unjudged``: a judge budget left the answer out. Such a verdict holds a place and is never shown."""
Needs = Literal["text", "loglikelihood"]
"""What a scorer reads: generated answers, or the log-likelihoods of given texts (an example's options)."""


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


@dataclass(frozen=True)
class ScoredBase:
    """The base model of a study, as far as a scorer may use it."""

    spec: ModelSpec
    fingerprint: str
    directory: Path | None
    """Its files; None: the model is known to an endpoint only."""


class Scorer(Protocol):
    """Scores answers: a frozen dataclass with its options as fields. ``TextScorer`` has most of it."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str:
        """Changes whenever a verdict could."""
        ...

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What is shown in a matrix, the first one first."""
        ...

    @property
    def needs(self) -> Needs: ...

    def identity(self) -> Mapping[str, Any]:
        """What determines a verdict in the scorer."""
        ...

    def open(self, base: ScoredBase) -> Scorer:
        """The scorer of a study on this base; no weights are loaded yet. InputError if it cannot be."""
        ...

    def score(self, items: Sequence[tuple[Example, Answer]]) -> list[Verdict]: ...

    def release(self) -> None:
        """Let a model in memory go; it is loaded again when it is needed."""
        ...


class TextScorer:
    """What scorers of generated text have in common, unless they say otherwise."""

    name: str
    version: str
    needs: ClassVar[Needs] = "text"

    def identity(self) -> dict[str, Any]:
        """What determines a verdict in the scorer."""
        return {"name": self.name, "version": self.version}

    def open(self, base: ScoredBase) -> Self:
        """The same on every base."""
        return self

    def release(self) -> None:
        """There is no model in memory."""


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
