"""The matrix: what a study yields. Plain values; `results.json` is their image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from puretune.study.matrix.ranking import Ranking
from puretune.study.matrix.reports import USUAL, format_files, report_texts, write_files
from puretune.study.spec.bounds import ConditionKind
from puretune.templates import ControlKind

if TYPE_CHECKING:
    import pandas

    from puretune.scoring import Better, Measure
    from puretune.statistics import Conclusion

SCHEMA_VERSION = 3


@dataclass(frozen=True)
class CellResult:
    """One metric of one suite for one (condition, seed, test template)."""

    condition: str
    """``untuned``, a train template's name, or the name of an existing adapter or checkpoint."""
    train_template: str | None
    seed: int | None
    """The tuning seed; None if nothing was tuned."""
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
    """Mean over the ``n`` answers, in [0, 1]; None if no answer could be parsed."""
    low: float | None
    high: float | None
    """95 % interval; ``estimand`` says for what."""
    counts: Mapping[str, int]
    """``successes``, ``complied``, ``refused``, ``incoherent``, ``empty``, ``unparsed``, ``truncated``,
    ``errors`` (an endpoint refused the request: no answer, unparsed); under a judge budget ``unjudged``."""
    estimand: str = "this adapter and new prompts from the same source"
    """What the interval is about; ``these answers`` under a judge budget."""
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
    """What the interval is about: this adapter, for one seed; new training runs, for several."""
    method: str = ""
    """How the interval was made."""
    seed_sd: float | None = None
    """Standard deviation between training runs at this rate, by all conditions with several seeds; or the one
    that the study assumes; None: one run says nothing about it."""
    categories: int = 1
    """How many categories the prompts are of; they are fixed unless ``estimand`` says otherwise."""
    design_effect: float | None = None
    """For new categories: how many times the variance of prompts alone."""

    @property
    def label(self) -> str:
        """``asr (gpt-4)``: the metric with the scorer whose it is."""
        return f"{self.metric} ({self.scorer})"


@dataclass(frozen=True)
class Comparison:
    """One cell minus another, in one metric of one suite, on the same prompts and seeds."""

    suite: str
    scorer: str
    metric: str
    condition: str
    test_template: str
    reference: str
    """The condition that is subtracted."""
    reference_template: str
    seeds: int
    """Pairs of training runs; 0 if nothing was tuned."""
    n: int
    """Answers per run."""
    difference: float
    low: float
    high: float
    """95 % interval; ``estimand`` says for what. Unparsed verdicts widen it from both ends."""
    estimand: str
    method: str
    p: float
    """Two-sided, of no difference; with unparsed verdicts the largest that they allow."""
    margin: float
    conclusion: Conclusion
    """Of the condition against the reference: lower, higher, equivalent within the margin, inconclusive."""
    seed_sd: float | None = None
    """Standard deviation between training runs of one of the conditions; None: one run says nothing about
    it."""
    detectable: float = 0.0
    """The difference that a study of this size would find with 80 % power."""
    seeds_needed: int | None = None
    """Where it is inconclusive: seeds that would find a difference of the margin with 80 % power (with
    ``prompts_factor``, where both are needed)."""
    prompts_factor: float | None = None
    """Where it is inconclusive and seeds alone do not help: how many times the prompts would (for new
    categories: the categories)."""
    holm: float | None = None
    """``p`` corrected for all comparisons of its kind; for the planned ones, for these alone."""
    prompts: int = 0
    """Prompts that the answers are to: several samples, and paraphrases of one request, count once."""
    role: Literal["planned", "exploratory"] = "exploratory"
    """``planned``: named before the data were seen, on the primary metric."""

    @property
    def label(self) -> str:
        """``asr (gpt-4)``: the metric with the scorer whose it is."""
        return f"{self.metric} ({self.scorer})"


Safety = Literal["more harmful", "as safe", "open"]
"""What is shown of an alternative against what is recommended, on every suite that asks for harm."""


@dataclass(frozen=True)
class Alternative:
    """A cell that could be served in place of the recommended one, and what that would cost."""

    condition: str
    test_template: str
    keeps_help: bool
    """Whether it is about as helpful as the most helpful one."""
    safety: Safety
    costs: tuple[Comparison, ...] = ()
    """This one minus the recommended one: harm, helpfulness, over-refusal, each with its interval."""


@dataclass(frozen=True)
class Recommendation:
    """Which condition to serve under which template."""

    state: Literal["shown", "cannot tell"]
    """``shown``: every other cell that keeps its helpfulness is shown to be more harmful, or as safe."""
    condition: str | None
    """The one with the least measured harm; None: nothing can be recommended."""
    test_template: str | None
    reason: str
    as_trained: bool = False
    """Whether it would be served under the template that it was tuned under."""
    seeds_needed: int | None = None
    prompts_needed: int | None = None
    """Where it cannot be told: what would find a difference of the margin with 80 % power."""
    alternatives: tuple[Alternative, ...] = ()
    """Best first."""
    against_untuned: tuple[Comparison, ...] = ()
    """The recommended one minus the untuned model under the same template."""


ControlUse = Literal[ControlKind, "training template", "no system prompt"]
"""What takes the place of a safety prompt at test."""


@dataclass(frozen=True)
class ControlEffect:
    """A condition under a control minus the same condition under the safety prompt, prompt by prompt."""

    use: ControlUse
    comparison: Comparison
    """``test_template`` is the control's, ``reference_template`` the one with the safety prompt."""
    under_control: float
    """The rate under the control; both in [0, 1]."""
    under_safety: float
    better: Better | None = "lower"
    """Which direction of the metric is better."""

    @property
    def p(self) -> float:
        """After Holm's correction, where there was one."""
        return self.comparison.p if self.comparison.holm is None else self.comparison.holm

    def sentence(self) -> str:
        """What it says, with both rates and the difference in per cent and points."""
        one = self.comparison
        return (
            f"{_OPENINGS.get(self.use, f'Against a {self.use} control')}, {one.condition}: {one.label} "
            f"{100 * self.under_control:.1f} % under {one.test_template} and {100 * self.under_safety:.1f} % "
            f"under {one.reference_template}, {100 * one.difference:+.1f} points (95 % interval "
            f"{100 * one.low:+.1f} to {100 * one.high:+.1f}; "
            f"{'p < 0.001' if self.p < 0.001 else f'p = {self.p:.3f}'} after Holm): {self._meaning()}."
        )

    def _meaning(self) -> str:
        said = self.comparison.conclusion
        if said == "equivalent":
            return f"equivalent within {100 * self.comparison.margin:g} points"
        if said == "inconclusive" or self.p > 0.05:
            return "inconclusive"
        if said == self.better:
            return "safer than under the safety prompt"
        leak = self.use in _OPENINGS and self.use != "neutral"
        return "less safe there" if leak else "the safety prompt's words count, not only another template"


_OPENINGS = {
    "neutral": "Safety-prompt effect beyond shift",
    "training template": "Leakage under the training template",
    "no system prompt": "Leakage without a system prompt",
    "paraphrase": "Leakage under a paraphrase of the training template",
}


@dataclass(frozen=True)
class CategoryRate:
    """One cell at the end of training, over the prompts of one category; the mean over seeds."""

    suite: str
    scorer: str
    metric: str
    condition: str
    test_template: str
    category: str
    n: int
    """Answers over all seeds."""
    value: float
    low: float
    high: float
    """95 % interval, for new prompts of this category (and new training runs, over several seeds)."""


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
    """Cohen's kappa; None if chance alone would agree."""
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
    comparisons: tuple[Comparison, ...] = ()
    """The planned comparison on the primary metric, then on the other suites and metrics."""
    controls: tuple[ControlEffect, ...] = ()
    """What the safety prompt does beyond a change of template, and where what was tuned leaks."""
    ranking: Ranking | None = None
    """The study's strategies at the same helpfulness; None: it has fewer than two, or not both measured."""
    agreements: tuple[JudgeAgreement, ...] = ()
    """Of every two judges of harm in one suite that saw all answers."""
    categories: tuple[CategoryRate, ...] = ()
    """Of every cell at the end of training in the primary metrics of suites with categories."""
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
    recommendation: Recommendation | None = None
    """What to serve; None in results of earlier versions."""
    schema_version: int = SCHEMA_VERSION
    run: Path | None = field(default=None, compare=False, repr=False)
    """The run directory that it was read from, with its answers; no part of ``results.json``."""

    def frame(self) -> pandas.DataFrame:
        """The cells as a data frame, one row each, in their order; the counts are separate columns."""
        import pandas

        rows = []
        for cell in self.cells:
            row = asdict(cell)
            counts = row.pop("counts")
            rows.append({**row, **counts})
        return pandas.DataFrame(rows)

    def write(
        self, directory: Path | str, formats: Sequence[str] | None = None, redact: bool = False
    ) -> list[Path]:
        """Write reports into a directory, and say where they are.

        ``formats``: of ``html``, ``md``, ``latex``, ``csv``, ``parquet``, ``figures``, and those of other
        packages; None: ``report.html``, ``report.md``, and the reports of other packages. ``redact``: leave
        out what is harmful. InputError for an unknown format.
        """
        usual = report_texts(self) if formats is None and not redact else None
        return write_files(usual or format_files(self, formats or USUAL, redact), Path(directory))
