"""The matrix: what a study yields. Plain values; `results.json` is their image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas

    from puretune.scoring import Measure

SCHEMA_VERSION = 2

ConditionKind = Literal["tuned", "untuned", "adapter", "checkpoint", "served"]
"""What answers: a model tuned in the study, the base as it is, or something that existed before."""


@dataclass(frozen=True)
class CellResult:
    """One metric of one suite for one (condition, seed, test template)."""

    condition: str
    """``untuned``, a train template's name, or the name of an existing adapter or checkpoint."""
    train_template: str | None
    seed: int | None
    """The tuning seed; None where nothing was tuned."""
    step: int | None
    """The optimiser step of a kept adapter; None: the last one, or nothing was tuned."""
    test_template: str
    suite: str
    scorer: str
    """Whose metric it is."""
    metric: str
    n: int
    """Answers asked for; rates are over all of them."""
    value: float | None
    """Mean over the ``n`` answers, in [0, 1]; None where no answer could be parsed."""
    low: float | None
    high: float | None
    """95 % interval; ``estimand`` says for what."""
    counts: Mapping[str, int]
    """``successes``, ``complied``, ``refused``, ``incoherent``, ``empty``, ``unparsed``, ``truncated``,
    ``errors`` (an endpoint refused the request: no answer, unparsed); under a judge budget ``unjudged``."""
    estimand: str = "new prompts from the same source"
    """What the interval speaks of; ``these answers`` under a judge budget."""
    method: str = ""
    """How the interval was made."""

    @property
    def label(self) -> str:
        """``asr (gpt-4)``: the metric with the scorer whose it is."""
        return f"{self.metric} ({self.scorer})"


@dataclass(frozen=True)
class PooledCell:
    """The mean of one cell over tuning seeds."""

    condition: str
    train_template: str | None
    step: int | None
    test_template: str
    suite: str
    scorer: str
    """Whose metric it is."""
    metric: str
    seeds: int
    n: int
    """Answers over all seeds."""
    value: float | None
    low: float | None
    high: float | None
    estimand: str
    """From two seeds up ``new training runs``, from ten ``new training runs and new prompts``, and where
    every answer of every seed agrees ``new prompts from the same source``; else the single cell's."""
    method: str = ""
    """How the interval was made: t on seed means, crossed bootstrap, Clopper-Pearson; or the cell's."""

    @property
    def label(self) -> str:
        """``asr (gpt-4)``: the metric with the scorer whose it is."""
        return f"{self.metric} ({self.scorer})"


@dataclass(frozen=True)
class JudgeAgreement:
    """How far two judges of harm agree on the same answers of one suite, over all its cells."""

    suite: str
    first: str
    """The first judge's metric, ``asr (gpt-4)``."""
    second: str
    n: int
    """Answers on which both verdicts could be read."""
    unparsed: int
    both: int
    """Answers that both call harmful."""
    first_only: int
    second_only: int
    neither: int
    kappa: float | None
    """Cohen's kappa; None where chance alone would agree."""
    low: float
    high: float
    """95 % interval of kappa, for new answers of the same kind."""


@dataclass(frozen=True)
class SampleVerdict:
    """One scorer's verdict on a sample answer."""

    scorer: str
    values: Mapping[str, float | bool | None]
    behaviour: str | None = None
    parse: str = "ok"


@dataclass(frozen=True)
class Transcript:
    """One sample answer for readers: the query, what was asked under which template, what came back."""

    condition: str
    seed: int | None
    test_template: str
    suite: str
    prompt_id: str
    query: str
    answer: str
    finish: str
    verdicts: tuple[SampleVerdict, ...] = ()
    """What each scorer says of it."""

    @property
    def behaviour(self) -> str | None:
        """What the first scorer that judges behaviour says."""
        return next((one.behaviour for one in self.verdicts if one.behaviour is not None), None)


@dataclass(frozen=True)
class Matrix:
    """A finished study: cells, their means over seeds, sample transcripts, and where they come from."""

    name: str
    cells: tuple[CellResult, ...]
    pooled: tuple[PooledCell, ...]
    transcripts: tuple[Transcript, ...] = ()
    agreements: tuple[JudgeAgreement, ...] = ()
    """Of every two judges of harm in one suite that saw all answers."""
    measures: tuple[Measure, ...] = ()
    """How to read each scorer's metric on each suite: title, what it measures, which direction is better."""
    kinds: Mapping[str, ConditionKind] = field(default_factory=dict)
    """By condition, what answers."""
    conditions: tuple[str, ...] = ()
    """In the study's order; so are the two below."""
    test_templates: tuple[str, ...] = ()
    suites: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Versions, model and its fingerprint, data digests, recipe, decoding, template fingerprints and one
    readable rendering per template, tokens trained on, the command, seconds."""
    schema_version: int = SCHEMA_VERSION

    def frame(self) -> pandas.DataFrame:
        """The cells as a data frame, one row each, in their order; the counts are columns of their own."""
        import pandas

        rows = []
        for cell in self.cells:
            row = asdict(cell)
            counts = row.pop("counts")
            rows.append({**row, **counts})
        return pandas.DataFrame(rows)
