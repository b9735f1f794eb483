"""From the study's words to values: conditions, examples, scorers, the model's identity.

Everything a user can get wrong in a study file is found here, before anything is computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TypeVar

from puretune.data import Example, Overlap, SourceSpec, offered_sources
from puretune.errors import EnvironmentFault, InputError
from puretune.inference import Decoding, EngineSpec
from puretune.models import (
    MessagesRenderer,
    ModelSpec,
    RemoteBase,
    WeightsAbsent,
    check_adapter,
    check_own_tokenizer,
    check_rows,
    fingerprint,
    pinned,
    provisional_fingerprint,
    quantization_lacking,
    renderer_for,
    resolve_model_path,
    resolved_device,
    resolved_dtype,
)
from puretune.scoring import Asks, Measure, Scorer, Suite, measure_of, suite_named
from puretune.study._analysis import Contrast
from puretune.study._budget import Allowance, allowance
from puretune.study._conditions import (
    Cells,
    cells_of,
    conditions,
    distinct,
    templates_of,
)
from puretune.study._data import leakage, read_sources, weighted_parts
from puretune.study._engine import check_conditions, check_likelihoods, engine_of
from puretune.study._mix import Part
from puretune.study._planned import planned_contrasts
from puretune.study._scorers import AbsentScorer, on_base, scorers_of
from puretune.study._sections import DataSection, ModelSection, SuiteSection
from puretune.study._spec import Study
from puretune.templates import Renderer
from puretune.tuning import DEFAULT_TUNER, ChosenTuner, Recipe, tuner_named

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Base:
    """The base model's identity, found without loading it."""

    spec: ModelSpec
    fingerprint: str
    device: str
    dtype: str
    directory: Path | None
    """Its files (of a hub model perhaps only the small ones), for sources that belong to a model; None: the
    model is known to an endpoint only."""
    lacking: str = ""
    """Why the weights' fingerprint could not be had; only where a study is resolved ``dry``."""


@dataclass(frozen=True)
class ResolvedSuite:
    """A suite with its examples read and its scorers at hand."""

    name: str
    examples: tuple[Example, ...]
    scorers: tuple[Scorer, ...]
    decoding: Decoding
    asks: Asks | None = None
    """What its prompts ask for; None: the study does not say."""

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What is measured of it, scorer by scorer."""
        return tuple(
            measure_of(self.name, scorer.name, metric, self.asks)
            for scorer in self.scorers
            for metric in scorer.metrics
        )


@dataclass(frozen=True)
class Resolved:
    """A study with every name looked up and every file read."""

    study: Study
    base: Base
    engine: EngineSpec
    cells: Cells
    suites: tuple[ResolvedSuite, ...]
    parts: tuple[Part, ...]
    """The fine-tuning data; empty where nothing is tuned."""
    recipe: Recipe
    tuner: ChosenTuner
    seeds: tuple[int, ...]
    unchecked: tuple[str, ...]
    """What could not be verified of adapters that other tools made."""
    leakage: Mapping[str, Overlap] = field(default_factory=dict)
    """Suites with prompts that the tuning data has too."""
    allowance: Allowance | None = None
    """The judge budget, where the study has one."""
    contrasts: tuple[Contrast, ...] = ()
    """The planned comparisons."""

    def renderer(self) -> Renderer:
        """Renders prompts with the model's tokenizer; where only an endpoint has the model, into readable
        turns with an estimate of their tokens."""
        return renderer_for(self.base.spec) if self.base.directory else MessagesRenderer()

    @property
    def lacking(self) -> tuple[str, ...]:
        """What a run will need and is not here: weights, an engine's library. Empty unless ``dry``."""
        scorers = {scorer.name: scorer for suite in self.suites for scorer in suite.scorers}
        absent = [one.lacking for one in scorers.values() if isinstance(one, AbsentScorer)]
        return tuple(reason for reason in (self.base.lacking, self.engine.lacking, *absent) if reason)


def resolve(study: Study, dry: bool = False) -> Resolved:
    """Every name looked up, every source read, every adapter checked; InputError at the first that fails.

    ``dry``: for counting only, the weights of the model and of scorers, and the engine, may be missing.
    """
    defined = templates_of(study)
    cells = cells_of(study, conditions(study, defined), defined)
    with study.at("analysis", "contrast"):
        contrasts = planned_contrasts(study.analysis, cells)
    suites = [_suite(study, number) for number in range(len(study.suites))]
    distinct(study, "suites", [suite.name for suite in suites])
    sources, tunes = [suite.source for suite in suites], any(way.template for way, _ in cells)
    # what is on this machine first: a wrong file is found before the hub is asked for a model or a judge
    early = None if _needs_model(study, suites) else read_sources(study, sources, None, tunes)
    scorers = scorers_of(study, suites, dry)
    engine = engine_of(study, dry)
    check_likelihoods(study, engine, scorers)
    tuner = _tuner(study)
    check_conditions(study, engine, cells, tuner)
    base = _base(study, engine, dry)
    scorers = on_base(scorers, base.spec, base.fingerprint, base.directory)
    unchecked = () if base.lacking else _check_adapters(study, cells, base)
    read, rows = early or read_sources(study, sources, base.directory, tunes)
    parts = weighted_parts(study, rows, defined)
    return Resolved(
        study=study,
        base=base,
        engine=engine,
        cells=cells,
        suites=tuple(
            ResolvedSuite(suite.name, asked, judges, _decoding(study, suite), suite.asks_for)
            for suite, asked, judges in zip(suites, read, scorers, strict=True)
        ),
        parts=parts,
        recipe=plain(Recipe, study.tuning.recipe) if study.tuning else Recipe(),
        tuner=tuner,
        seeds=study.tuning.seeds if study.tuning else (),
        unchecked=unchecked,
        leakage=leakage(study, {suite.name: asked for suite, asked in zip(suites, read, strict=True)}, parts),
        allowance=allowance(study, dict(zip((suite.name for suite in suites), scorers, strict=True))),
        contrasts=contrasts,
    )


def _needs_model(study: Study, suites: Sequence[Suite]) -> bool:
    """Whether a source of the study may belong to its model, and so is read behind it."""
    data = study.tuning.data if study.tuning else ()
    entries = [data] if isinstance(data, str | DataSection) else list(data)
    named = [entry if isinstance(entry, str) else entry.source for entry in entries]
    return bool({*named, *(suite.source.source for suite in suites)} & set(offered_sources()))


def plain(kind: type[_Value], section: _Value) -> _Value:
    """A section of the study as the value it describes, without what the study adds to it."""
    return kind(**{one.name: getattr(section, one.name) for one in fields(kind)})  # type: ignore[arg-type]


def _base(study: Study, engine: EngineSpec, dry: bool) -> Base:
    spec = _model_spec(study.model)
    if engine.takes == "messages":
        known = RemoteBase(spec)
        return Base(spec, known.fingerprint, known.device_type, known.dtype_name, None)
    with study.at("model"):
        spec = pinned(spec)
        path = resolve_model_path(spec, weights=False)
        device, dtype = resolved_device(spec), resolved_dtype(spec)
        lacking = quantization_lacking(spec)
        if lacking and not dry:
            raise EnvironmentFault(lacking)
        try:
            return Base(spec, fingerprint(spec), device, dtype, path, lacking)
        except (WeightsAbsent, EnvironmentFault) as error:
            if not dry:
                raise
            return Base(spec, provisional_fingerprint(spec), device, dtype, path, lacking=str(error))


def _model_spec(model: str | ModelSection) -> ModelSpec:
    if isinstance(model, str):
        return ModelSpec(model)
    spec = plain(ModelSpec, model)
    return replace(spec, model=str(model.path)) if model.path else spec


def _check_adapters(study: Study, cells: Cells, base: Base) -> tuple[str, ...]:
    """InputError where an adapter is not of this base, or brings another tokenizer unnoticed; returns what
    could not be checked, and what was accepted."""
    notes = []
    for way in {way.name: way for way, _ in cells}.values():
        for ref in (way.start, way.existing):
            if ref is not None:
                with study.at(*way.place):
                    notes.append(check_adapter(ref, base.spec))
                    if base.directory is not None:
                        check_rows(ref, base.spec)
                        notes.append(check_own_tokenizer(ref, base.spec, way.base_tokenizer))
    return tuple(note for note in notes if note)


def _suite(study: Study, number: int) -> Suite:
    entry = study.suites[number]
    with study.at("suites", number):
        if isinstance(entry, str):
            return suite_named(entry)
        if entry.source:
            if not entry.scorers:
                raise InputError("a suite of your own needs scorers. Add `scorers: [gsm8k]` or others.")
            return Suite(entry.name, plain(SourceSpec, entry), (), entry.max_new_tokens, entry.asks)
        return _adapted(suite_named(entry.name), entry)


def _adapted(suite: Suite, entry: SuiteSection) -> Suite:
    """A named suite with what the study says otherwise about it."""
    usual = SuiteSection(name=entry.name)
    said = {one.name: getattr(entry, one.name) for one in fields(SourceSpec)}
    changed = {key: value for key, value in said.items() if value != getattr(usual, key)}
    if entry.asks is not None:
        suite = replace(suite, asks=entry.asks, asks_by_split={})
    return replace(
        suite,
        source=replace(suite.source, **changed),
        max_new_tokens=entry.max_new_tokens or suite.max_new_tokens,
    )


def _decoding(study: Study, suite: Suite) -> Decoding:
    usual = plain(Decoding, study.decoding)
    return replace(usual, max_new_tokens=suite.max_new_tokens) if suite.max_new_tokens else usual


def _tuner(study: Study) -> ChosenTuner:
    if study.tuning is None:
        return tuner_named(DEFAULT_TUNER)
    said = study.tuning.tuner
    with study.at("tuning", "tuner"):
        return tuner_named(said) if isinstance(said, str) else tuner_named(said.name, said.options)
