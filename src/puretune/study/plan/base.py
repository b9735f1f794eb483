"""The base model of a study: its identity, found without loading it, and whether what is asked of it fits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from puretune.errors import InputError
from puretune.inference import EngineSpec
from puretune.models import (
    AdapterRef,
    ModelSpec,
    TunedModel,
    check_adapter,
    check_own_tokenizer,
    check_rows,
    check_targets,
    read_adapter,
)
from puretune.study.plan.conditions import Condition, Training, entry_of, plain
from puretune.study.spec.sections import ModelSection
from puretune.study.spec.study import Study
from puretune.tuning import check_number_format, check_start


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


def model_spec(model: str | ModelSection) -> ModelSpec:
    """The model that a study names."""
    if isinstance(model, str):
        return ModelSpec(model)
    spec = plain(ModelSpec, model)
    return replace(spec, model=str(model.path)) if model.path else spec


def check_adapters(
    study: Study, conditions: Iterable[Condition], base: Base, engine: EngineSpec
) -> tuple[str, ...]:
    """InputError if an adapter would not be applied in full, is not of this base, or brings another
    tokenizer unnoticed; returns what could not be checked, and what was accepted."""
    notes = []
    for condition in conditions:
        start = condition.training.start if condition.training else None
        with study.at(*condition.place):
            for ref in (start, condition.existing):
                if isinstance(ref, TunedModel):
                    notes += _adapter_notes(ref, condition, base)
            if condition.existing is not None:
                engine.check_adapter(condition.existing)
    return tuple(note for note in notes if note)


def check_tuning(study: Study, conditions: Mapping[str, Condition], base: Base) -> None:
    """InputError if a tuner cannot train in the base's number format or from where it is to start, or the
    base has no layer of a name in a recipe's targets, as far as its files say it."""
    for condition in conditions.values():
        how = condition.training
        if how is None or how.tuner.remote or base.directory is None:
            continue
        with study.at("model"):
            check_number_format(how.tuner.name, base.dtype, base.device)
        if not base.lacking:
            with study.at(*_place_of_targets(study, condition)):
                check_targets(base.spec, how.recipe.targets, where="")
        with study.at(*condition.place):
            _check_start(how, conditions)


def check_losses(study: Study, conditions: Iterable[Condition]) -> None:
    """InputError where a tuner cannot minimise a loss of its condition."""
    for condition in conditions:
        how = condition.training
        if how is not None:
            losses = dict.fromkeys(part.loss or how.recipe.loss for part in how.mix)
            with study.at(*condition.place):
                if why := how.tuner.unable(how.recipe, losses):
                    raise InputError(f"condition {condition.name!r}: {why}")
                if how.tuner.remote and any(part.written for part in how.mix):
                    raise InputError(
                        f"condition {condition.name!r}: `answers_under` rows are written during the run, and "
                        f"tuner {how.tuner.name!r} names its price before. Use a tuner on this machine."
                    )


def _place_of_targets(study: Study, condition: Condition) -> tuple[str | int, ...]:
    own = entry_of(study, condition).recipe
    place = (
        (*condition.place, "recipe") if own and "targets" in own.model_fields_set else ("tuning", "recipe")
    )
    return *place, "targets"


def _check_start(how: Training, conditions: Mapping[str, Condition]) -> None:
    """InputError if a tuner cannot start from an adapter, or from that of another condition."""
    if isinstance(how.start, TunedModel):
        check_start(how.start, how.recipe, how.tuner.whole)
    before = conditions[how.start].training if isinstance(how.start, str) else None
    if before is None or how.tuner.whole or before.tuner.whole:
        return
    for name in ("rank", "alpha", "targets"):
        one, other = getattr(before.recipe, name), getattr(how.recipe, name)
        if one != other and (name != "targets" or set(one) != set(other)):
            raise InputError(
                f"it starts from condition {how.start!r}, whose recipe has {name} {one}, and its own has "
                f"{other}. Set the same."
            )


def _adapter_notes(ref: TunedModel, condition: Condition, base: Base) -> list[str]:
    if base.lacking:
        if isinstance(ref, AdapterRef):
            read_adapter(ref.path)
        return []
    notes = [check_adapter(ref, base.spec)]
    if base.directory is not None:
        check_rows(ref, base.spec)
        notes.append(check_own_tokenizer(ref, base.spec, condition.base_tokenizer))
    return notes
