"""From the study file to values: conditions, examples, scorers, the model's identity.

Everything a user can get wrong in a study file is found here, before anything is computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

from puretune.data import SOURCES, Example, Overlap, SourceSpec
from puretune.errors import EnvironmentFault, InputError
from puretune.inference import Decoding, EngineSpec
from puretune.models import (
    MessagesRenderer,
    RemoteBase,
    WeightsAbsent,
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
from puretune.study.plan.base import Base, check_adapters, check_losses, check_tuning, model_spec
from puretune.study.plan.conditions import Condition, Training, conditions, entry_of, plain
from puretune.study.plan.contrasts import planned_contrasts
from puretune.study.plan.controls import controls_of, with_controls
from puretune.study.plan.data import Data, Place, leakage, read_data
from puretune.study.plan.engine import check_conditions, check_likelihoods, engine_of
from puretune.study.plan.judge_budget import Allowance, allowance
from puretune.study.plan.mix import Part, Written
from puretune.study.plan.scorers import AbsentScorer, on_base, scorers_of
from puretune.study.plan.strategies import Contender, contenders, expanded
from puretune.study.plan.templates import distinct, templates_of
from puretune.study.plan.test_pairs import Cells, cells_of
from puretune.study.spec.analysis import Contrast
from puretune.study.spec.sections import DataSection, SuiteSection
from puretune.study.spec.study import Study
from puretune.templates import Control, Renderer


@dataclass(frozen=True)
class ResolvedSuite:
    """A suite with its examples read and its scorers loaded."""

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
    conditions: Mapping[str, Condition]
    """Those that are tested and those whose adapters they take, each after these."""
    cells: Cells
    suites: tuple[ResolvedSuite, ...]
    seeds: tuple[int, ...]
    """Of tuning; empty if nothing is tuned."""
    unchecked: tuple[str, ...]
    """What could not be verified of adapters that other tools made."""
    leakage: Mapping[str, Overlap] = field(default_factory=dict)
    """Suites with prompts that the tuning data has too."""
    allowance: Allowance | None = None
    """The judge budget, where the study has one."""
    contrasts: tuple[Contrast, ...] = ()
    """The planned comparisons."""
    controls: tuple[Control, ...] = ()
    """The control templates that were made, and why some could not be."""
    contenders: tuple[Contender, ...] = ()
    """What the study's strategies would serve."""

    @property
    def written(self) -> dict[str, Written]:
        """Rows whose answers the untuned model writes before anything is tuned, by name."""
        parts = [part for training in self.tuned.values() for part in training.mix]
        return {part.written.name: part.written for part in parts if part.written}

    def asked_for(self, rows: Written) -> ResolvedSuite:
        """Such rows as prompts: with the study's decoding, once each."""
        decoding = replace(plain(Decoding, self.study.decoding), n=1)
        return ResolvedSuite(rows.name, rows.prompts, (), decoding)

    @property
    def tuned(self) -> dict[str, Training]:
        """How each condition that is tuned here is tuned, by name."""
        return {one.name: one.training for one in self.conditions.values() if one.training is not None}

    def renderer(self) -> Renderer:
        """Renders prompts with the model's tokenizer; where only an endpoint has the model, into readable
        turns with an estimate of their tokens."""
        return _renderer(self.base)

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
    study, said = expanded(study), study
    defined = templates_of(study)
    listed = {one.name: one for one in conditions(study, defined)}
    cells = cells_of(study, listed.values(), defined)
    needed = _with_upstream(listed, [one for one, _ in cells])
    contrasts = () if study.controls else _contrasts(study, cells)
    suites = [_suite(study, number) for number in range(len(study.suites))]
    distinct(study, "suites", [suite.name for suite in suites])
    sources = [suite.source for suite in suites]
    data = {name: _data_of(study, one) for name, one in needed.items() if one.training}
    mixes = dict(data.values())
    # what is on this machine first: a wrong file is found before the hub is asked for a model or a judge
    early = None if _needs_model(mixes.values(), suites) else read_data(study, sources, mixes, None, defined)
    scorers = scorers_of(study, suites, dry)
    engine = engine_of(study, dry)
    check_likelihoods(study, engine, scorers)
    check_conditions(study, engine, needed.values())
    base = _base(study, engine, dry)
    scorers = on_base(scorers, base.spec, base.fingerprint, base.directory)
    controls = controls_of(study, cells, defined, lambda: _renderer(base))
    cells = with_controls(study, cells, controls, defined)
    unchecked = check_adapters(study, needed.values(), base, engine)
    check_tuning(study, needed, base)
    read, parts = early or read_data(study, sources, mixes, base.directory, defined)
    needed = {
        name: _with_mix(one, parts[data[name][0]]) if name in data else one for name, one in needed.items()
    }
    check_losses(study, needed.values())
    return Resolved(
        study=study,
        base=base,
        engine=engine,
        conditions=needed,
        cells=tuple((needed[one.name], template) for one, template in cells),
        suites=tuple(
            ResolvedSuite(suite.name, asked, judges, _decoding(study, suite), suite.asks_for)
            for suite, asked, judges in zip(suites, read, scorers, strict=True)
        ),
        seeds=_seeds(study, needed),
        unchecked=unchecked,
        leakage=leakage(
            study,
            {suite.name: asked for suite, asked in zip(suites, read, strict=True)},
            [part for mix in parts.values() for part in mix],
        ),
        allowance=allowance(study, dict(zip((suite.name for suite in suites), scorers, strict=True))),
        contrasts=contrasts or _contrasts(study, cells),
        controls=controls,
        contenders=contenders(said, defined.canonical),
    )


def _contrasts(study: Study, cells: Cells) -> tuple[Contrast, ...]:
    with study.at("analysis", "contrast"):
        return planned_contrasts(study.analysis, cells)


def _renderer(base: Base) -> Renderer:
    return renderer_for(base.spec) if base.directory else MessagesRenderer()


def _needs_model(mixes: Iterable[Data], suites: Sequence[Suite]) -> bool:
    """Whether a source of the study may belong to its model, and so is read behind it."""
    listed = [entry for data in mixes for entry in ([data] if isinstance(data, str | DataSection) else data)]
    named = [entry if isinstance(entry, str) else entry.source for entry in listed]
    return bool({*named, *(suite.source.source for suite in suites)} & set(SOURCES.offered()))


def _with_upstream(listed: Mapping[str, Condition], tested: Iterable[Condition]) -> dict[str, Condition]:
    """The tested conditions and those whose adapters they take, each after these."""
    needed: dict[str, Condition] = {}

    def add(condition: Condition) -> None:
        if condition.name not in needed:
            for name in condition.needs:
                add(listed[name])
            needed[condition.name] = condition

    for condition in tested:
        add(condition)
    return needed


def _data_of(study: Study, condition: Condition) -> tuple[Place, Data]:
    """Where the study names a condition's fine-tuning data, and what it says there."""
    own = entry_of(study, condition).data
    if own is not None:
        return (*condition.place, "data"), own
    assert study.tuning is not None
    return ("tuning", "data"), study.tuning.data


def _with_mix(condition: Condition, mix: tuple[Part, ...]) -> Condition:
    assert condition.training is not None
    return replace(condition, training=replace(condition.training, mix=mix))


def _seeds(study: Study, needed: Mapping[str, Condition]) -> tuple[int, ...]:
    if not any(one.training for one in needed.values()):
        return ()
    return study.tuning.seeds if study.tuning else (0,)


def _base(study: Study, engine: EngineSpec, dry: bool) -> Base:
    spec = model_spec(study.model)
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


def _suite(study: Study, number: int) -> Suite:
    entry = study.suites[number]
    with study.at("suites", number):
        if isinstance(entry, str):
            return suite_named(entry)
        if entry.source:
            if not entry.scorers:
                raise InputError("your own suite needs scorers. Add `scorers: [gsm8k]` or others.")
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
