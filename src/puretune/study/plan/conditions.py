"""The conditions of a study: what is tuned how, what existed before, and the base as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Literal, TypeVar

from puretune.errors import InputError, unknown
from puretune.models import AdapterRef, TunedModel, adapter_ref, served_model, shown
from puretune.models.transforms import Transform, transform_named
from puretune.study.plan.mix import Part
from puretune.study.plan.templates import Templates, distinct, template_named
from puretune.study.spec.bounds import ConditionKind
from puretune.study.spec.sections import UNTUNED, TrainSection, Tuning
from puretune.study.spec.study import Study
from puretune.templates import PromptTemplate
from puretune.tuning import Recipe, TunerSpec, tuner_named

_Value = TypeVar("_Value")
_Place = tuple[str | int, ...]
_KINDS = ("template", "adapter", "checkpoint", "served")
_A = {"adapter": "an adapter", "checkpoint": "a full checkpoint"}


@dataclass(frozen=True)
class Training:
    """How a condition is tuned."""

    template: PromptTemplate
    mix: tuple[Part, ...]
    recipe: Recipe
    tuner: TunerSpec
    start: str | TunedModel | None = None
    """What it starts from: another condition, seed by seed; an adapter that exists; or nothing."""

    @property
    def rows(self) -> int:
        """Rows of the mix."""
        return sum(len(part.examples) for part in self.mix)


@dataclass(frozen=True)
class Condition:
    """What answers: a model tuned here, one that existed before, or (neither) the base as it is."""

    name: str
    training: Training | None = None
    existing: TunedModel | None = None
    base_tokenizer: bool = False
    """Whether it is asked with the base's tokenizer although its directory has another."""
    place: _Place = ()
    """Where the study mentions it."""
    transforms: tuple[Transform, ...] = ()
    """What is done to its adapter before it answers, in this order."""
    others: tuple[str | TunedModel, ...] = ()
    """The other adapters that the transforms take in turn: conditions, or adapters that exist."""

    @property
    def kind(self) -> ConditionKind:
        """What answers, in a word."""
        if self.training is not None:
            return "tuned"
        return self.existing.kind if self.existing is not None else "untuned"

    @property
    def template(self) -> PromptTemplate | None:
        """The template it is tuned under."""
        return self.training.template if self.training else None

    @property
    def upstream(self) -> str | None:
        """The name of the condition that this one starts from."""
        start = self.training.start if self.training else None
        return start if isinstance(start, str) else None

    @property
    def needs(self) -> tuple[str, ...]:
        """The names of the conditions whose adapters it takes."""
        start = (self.upstream,) if self.upstream is not None else ()
        return (*start, *(other for other in self.others if isinstance(other, str)))


def conditions(study: Study, defined: Templates) -> tuple[Condition, ...]:
    """The conditions of ``train`` or, if there is none, those that the pairs name; mixes are yet empty."""
    if study.train:
        found = [_listed(study, number, defined) for number in range(len(study.train))]
    else:
        named = [_named(study, left, ("pairs", number), defined) for number, left, _ in pairs_of(study)]
        found = list({one.name: one for one in named}.values())
    if not found:
        with study.at():
            raise InputError("nothing to do. Add `train: [untuned, CV]` and `test: [CV]`, or `pairs:`.")
    distinct(study, "train", [one.name for one in found])
    by_name = {one.name: one for one in found}
    linked = {one.name: _linked(study, one, by_name, defined) for one in found}
    _refuse_circle(study, linked)
    return tuple(linked.values())


def entry_of(study: Study, condition: Condition) -> TrainSection:
    """What the study says of a condition; nothing if it gives a name only."""
    place = condition.place
    entry = study.train[int(place[1])] if place[:1] == ("train",) else None
    return entry if isinstance(entry, TrainSection) else TrainSection()


def plain(kind: type[_Value], section: _Value) -> _Value:
    """A section of the study as the value it describes, without what the study adds to it."""
    return kind(**{field.name: getattr(section, field.name) for field in fields(kind)})  # type: ignore[arg-type]


def pairs_of(study: Study) -> Iterator[tuple[int, str, str]]:
    """(number, condition, test template) of each pair; InputError for what is not a pair."""
    for number, pair in enumerate(study.pairs):
        left, arrow, right = (part.strip() for part in pair.partition("->"))
        if not (left and arrow and right):
            with study.at("pairs", number):
                raise InputError(
                    f"{pair!r} is not a pair. Write `CONDITION -> TEST TEMPLATE`, as in `CV -> CL`."
                )
        yield number, left, right


def _listed(study: Study, number: int, defined: Templates) -> Condition:
    entry, place = study.train[number], ("train", number)
    if isinstance(entry, str):
        return _named(study, entry, place, defined)
    with study.at(*place):
        _check(entry)
        if entry.name == UNTUNED and entry.template != UNTUNED:
            raise InputError(f"the name {UNTUNED!r} is reserved for the untuned base model. Choose another.")
        if entry.template == UNTUNED:
            return Condition(entry.name or UNTUNED, place=place)
        if entry.template is None:
            base = entry.tokenizer is not None
            return Condition(
                entry.name or "",
                existing=_existing(entry),
                base_tokenizer=base,
                place=place,
                transforms=_transforms(study, place, entry),
            )
    return _named(study, entry.template, place, defined, entry)


def _named(
    study: Study, name: str, place: _Place, defined: Templates, entry: TrainSection | None = None
) -> Condition:
    """``untuned``, or a template to tune under, with what ``entry`` says otherwise than the study."""
    if name == UNTUNED:
        return Condition(UNTUNED, place=place)
    entry = entry or TrainSection()
    with study.at(*place):
        template = template_named(name, defined)
        if study.tuning is None and entry.data is None:
            raise InputError(f"{name!r} is tuned, and the study has no `tuning:` section. Add one.")
    return Condition(
        entry.name or template.name,
        _training(study, template, place, entry),
        base_tokenizer=entry.tokenizer is not None,
        place=place,
        transforms=_transforms(study, place, entry),
    )


def _transforms(study: Study, place: _Place, entry: TrainSection) -> tuple[Transform, ...]:
    made = []
    for number, said in enumerate(entry.transforms):
        with study.at(*place, "transforms", number):
            name, options = (said, {}) if isinstance(said, str) else (said.name, said.options)
            made.append(transform_named(name, options))
    return tuple(made)


def _training(study: Study, template: PromptTemplate, place: _Place, entry: TrainSection) -> Training:
    usual = study.tuning or Tuning(data=entry.data or "")
    changes = {name: getattr(entry.recipe, name) for name in getattr(entry.recipe, "model_fields_set", ())}
    own = entry.tuner is not None
    said = entry.tuner if entry.tuner is not None else usual.tuner
    with study.at(*((*place, "tuner") if own else ("tuning", "tuner"))):
        tuner = tuner_named(said) if isinstance(said, str) else tuner_named(said.name, said.options)
    return Training(template, (), replace(plain(Recipe, usual.recipe), **changes), tuner, entry.start)


def _linked(
    study: Study, condition: Condition, by_name: Mapping[str, Condition], defined: Templates
) -> Condition:
    """The condition with the adapters that it takes looked up: what it starts from, and its transforms'."""
    training = condition.training
    if training is not None and condition.upstream is not None:
        with study.at(*condition.place, "start"):
            training = replace(training, start=_start(condition.upstream, by_name, defined))
    others: list[str | TunedModel] = []
    for number, transform in enumerate(condition.transforms):
        with study.at(*condition.place, "transforms", number):
            _check_transformed(condition)
            others += [_other(condition, name, by_name, defined) for name in transform.others]
    return replace(condition, training=training, others=tuple(others))


def _start(said: str, by_name: Mapping[str, Condition], defined: Templates) -> str | TunedModel:
    name = _named_adapter(said, by_name, defined)
    if not isinstance(name, str):
        return name
    if by_name[name].kind != "tuned":
        raise InputError(f"condition {name!r} is not tuned here, so nothing can start from it.")
    if by_name[name].transforms:
        raise InputError(
            f"condition {name!r} has transforms, and tuning starts from an adapter as it was tuned. Start "
            "from a condition without them."
        )
    return name


def _other(
    condition: Condition, said: str, by_name: Mapping[str, Condition], defined: Templates
) -> str | TunedModel:
    """The other adapter that a transform takes."""
    name = _named_adapter(said, by_name, defined)
    if not isinstance(name, str):
        if not isinstance(name, AdapterRef):
            raise InputError(f"{shown(name)} is not a LoRA adapter, so nothing can be merged with it.")
        return name
    _check_transformed(by_name[name])
    if condition.training is None and by_name[name].training is not None:
        raise InputError(
            f"condition {name!r} has an adapter per seed, and {condition.name!r} has only one. Write the "
            f"transform on {name!r}, or on another condition that is tuned here."
        )
    return name


def _named_adapter(said: str, by_name: Mapping[str, Condition], defined: Templates) -> str | TunedModel:
    name = said if said in by_name else defined.canonical(said)
    if name in by_name:
        return name
    if not Path(said).exists():
        raise unknown("condition, or directory of an adapter,", said, by_name)
    return adapter_ref(Path(said))


def _check_transformed(condition: Condition) -> None:
    """InputError if a condition has no adapter here whose tensors can be changed."""
    tuner = condition.training.tuner if condition.training else None
    if condition.kind in ("tuned", "adapter") and not (tuner and (tuner.whole or tuner.remote)):
        return
    what = f"it is tuned by {tuner.name!r}" if tuner else f"it is {_A.get(condition.kind, condition.kind)}"
    raise InputError(
        f"condition {condition.name!r} has no adapter on this machine ({what}), so it cannot be transformed."
    )


def _refuse_circle(study: Study, by_name: Mapping[str, Condition]) -> None:
    try:
        TopologicalSorter({name: one.needs for name, one in by_name.items()}).prepare()
    except CycleError as error:
        names = error.args[1][::-1]
        with study.at(*by_name[names[0]].place):
            raise InputError(f"conditions need each other in a circle: {' -> '.join(names)}.") from None


def _check(entry: TrainSection) -> None:
    given = [key for key in _KINDS if getattr(entry, key) is not None]
    if len(given) != 1:
        has = " and ".join(given) or "none of them"
        raise InputError(f"a condition has one of {', '.join(_KINDS)}; this one has {has}.")
    changes = [key for key in ("start", "data", "recipe", "tuner") if getattr(entry, key) is not None]
    if changes and entry.template in (None, UNTUNED):
        raise InputError(f"`{changes[0]}` needs `template`: nothing is tuned here without one.")
    if entry.transforms and entry.template == UNTUNED:
        raise InputError("`transforms` change an adapter, and the untuned model has none.")
    if entry.template is None and entry.name is None:
        raise InputError(f"an existing {given[0]} needs a name in the matrix. Add `name: ...`.")


def _existing(entry: TrainSection) -> TunedModel:
    if entry.served is not None:
        return served_model(entry.served)
    kind: Literal["adapter", "checkpoint"] = "adapter" if entry.adapter else "checkpoint"
    path = entry.adapter or entry.checkpoint
    assert path is not None
    ref = adapter_ref(path)
    if ref.kind != kind:
        raise InputError(f"{path} is {_A[ref.kind]}, not {_A[kind]}. Write `{ref.kind}: {path}`.")
    return ref
