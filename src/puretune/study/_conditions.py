"""From the study's words to conditions and cells: templates by name, pairs, adapters that exist."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from puretune.errors import InputError, unknown
from puretune.models import AdapterRef, adapter_ref, served_ref
from puretune.study._matrix import ConditionKind
from puretune.study._sections import UNTUNED, TrainSection
from puretune.study._spec import Study
from puretune.templates import OwnSystem, PromptTemplate, load_templates, own_template, resolve_template

_WAYS = ("template", "adapter", "checkpoint", "served")
_A = {"adapter": "an adapter", "checkpoint": "a full checkpoint"}


@dataclass(frozen=True)
class Templates:
    """The templates that a study can name: its own and the built-in ones, all under the study's settings."""

    own: Mapping[str, PromptTemplate]
    own_system: OwnSystem | None = None
    """For templates that do not say what to do with an example's system message."""

    def named(self, name: str) -> PromptTemplate:
        """The template of that name; InputError with the nearest."""
        template = resolve_template(name, self.own)
        return template if template.own_system else replace(template, own_system=self.own_system)


@dataclass(frozen=True)
class Way:
    """One condition: ``template`` is tuned under, ``existing`` is used as it is; neither: untuned."""

    name: str
    template: PromptTemplate | None = None
    start: AdapterRef | None = None
    existing: AdapterRef | None = None
    base_tokenizer: bool = False
    """Whether it is asked with the base's tokenizer although its directory has another."""
    place: tuple[str | int, ...] = ()
    """Where the study speaks of it."""

    @property
    def kind(self) -> ConditionKind:
        """What answers: a model tuned here, the base as it is, or something that existed before."""
        if self.template is not None:
            return "tuned"
        return self.existing.kind if self.existing is not None else "untuned"


Cells = tuple[tuple[Way, PromptTemplate], ...]
"""What is tested under what, conditions first, in the study's order."""


def templates_of(study: Study) -> Templates:
    """The templates that the study can name; InputError where it redefines one."""
    own: dict[str, PromptTemplate] = {}
    if study.templates_file is not None:
        with study.at("templates_file"):
            own.update(load_templates(study.templates_file))
    for name, fields in study.templates.items():
        with study.at("templates", name):
            if name in own:
                raise InputError(f"template {name!r} is in {study.templates_file} too. Rename one of them.")
            own[name] = own_template(name, fields)
    if UNTUNED in own:
        with study.at("templates", UNTUNED):
            raise InputError(
                f"{UNTUNED!r} is the condition of the base model. Give your template another name."
            )
    return Templates(own, study.own_system)


def conditions(study: Study, defined: Templates) -> tuple[Way, ...]:
    """The conditions of ``train`` or, where that is left out, those that the pairs name."""
    if study.train:
        ways = [_listed(study, number, defined) for number in range(len(study.train))]
    else:
        named = [_named(study, left, ("pairs", number), defined) for number, left, _ in _pairs(study)]
        ways = list({way.name: way for way in named}.values())
    if not ways:
        with study.at():
            raise InputError("nothing to do. Add `train: [untuned, CV]` and `test: [CV]`, or `pairs:`.")
    distinct(study, "train", [way.name for way in ways])
    return tuple(ways)


def cells_of(study: Study, ways: Iterable[Way], defined: Templates) -> Cells:
    """Every condition under every test template or, where pairs are given, only those."""
    ways = tuple(ways)
    tests = _tests(study, defined)
    if not study.pairs:
        return tuple((way, template) for way in ways for template in tests.values())
    by_name = {way.name: way for way in ways}
    chosen = set()
    for number, left, right in _pairs(study):
        with study.at("pairs", number):
            template = template_named(right, defined)
            if study.test and template.name not in tests:
                raise unknown("test template", right, tests)
            tests.setdefault(template.name, template)
            chosen.add((_condition(left, by_name, defined), template.name))
    return tuple((way, test) for way in ways for test in tests.values() if (way.name, test.name) in chosen)


def template_named(name: str, defined: Templates) -> PromptTemplate:
    """The template of that name; InputError with the nearest, ``untuned`` among them."""
    if difflib.get_close_matches(name, [UNTUNED], cutoff=0.8):
        raise InputError(f"unknown template {name!r}. Did you mean the condition {UNTUNED!r}?")
    return defined.named(name)


def distinct(study: Study, key: str, names: Iterable[str]) -> None:
    """InputError where a name stands twice under a key of the study."""
    for name, count in Counter(names).items():
        if count > 1:
            with study.at(key):
                raise InputError(
                    f"{name!r} stands here {count} times. Keep one, or give the others a `name`."
                )


def _listed(study: Study, number: int, defined: Templates) -> Way:
    entry, place = study.train[number], ("train", number)
    if isinstance(entry, str):
        return _named(study, entry, place, defined)
    with study.at(*place):
        _check(entry)
        if entry.name == UNTUNED and entry.template != UNTUNED:
            raise InputError(f"the name {UNTUNED!r} is kept for the base model as it is. Choose another.")
        if entry.template == UNTUNED:
            return Way(entry.name or UNTUNED, place=place)
        if entry.template is None:
            base = entry.tokenizer is not None
            return Way(entry.name or "", existing=_existing(entry), base_tokenizer=base, place=place)
        start = adapter_ref(entry.start) if entry.start else None
    way = _named(study, entry.template, place, defined)
    base = entry.tokenizer is not None
    return replace(way, name=entry.name or way.name, start=start, base_tokenizer=base)


def _named(study: Study, name: str, place: tuple[str | int, ...], defined: Templates) -> Way:
    """A condition given by its name alone: ``untuned``, or a template to tune under."""
    if name == UNTUNED:
        return Way(UNTUNED, place=place)
    with study.at(*place):
        template = template_named(name, defined)
        if study.tuning is None:
            raise InputError(f"{name!r} is tuned, and the study has no `tuning:` section. Add one.")
    return Way(template.name, template=template, place=place)


def _check(entry: TrainSection) -> None:
    given = [key for key in _WAYS if getattr(entry, key) is not None]
    if len(given) != 1:
        has = " and ".join(given) or "none of them"
        raise InputError(f"a condition has one of {', '.join(_WAYS)}; this one has {has}.")
    if entry.start is not None and entry.template in (None, UNTUNED):
        raise InputError("`start` needs `template`: the template that tuning goes on under.")
    if entry.template is None and entry.name is None:
        raise InputError(f"an existing {given[0]} needs a name in the matrix. Add `name: ...`.")


def _existing(entry: TrainSection) -> AdapterRef:
    if entry.served is not None:
        return served_ref(entry.served)
    kind: Literal["adapter", "checkpoint"] = "adapter" if entry.adapter else "checkpoint"
    path = entry.adapter or entry.checkpoint
    assert path is not None
    ref = adapter_ref(path)
    if ref.kind != kind:
        raise InputError(f"{path} is {_A[ref.kind]}, not {_A[kind]}. Write `{ref.kind}: {path}`.")
    return ref


def _tests(study: Study, defined: Templates) -> dict[str, PromptTemplate]:
    tests = []
    for number, name in enumerate(study.test):
        with study.at("test", number):
            tests.append(template_named(name, defined))
    distinct(study, "test", [template.name for template in tests])
    if not tests and not study.pairs:
        with study.at():
            raise InputError("no template to test under. Add `test: [CV]`, or `pairs:`.")
    return {template.name: template for template in tests}


def _pairs(study: Study) -> Iterator[tuple[int, str, str]]:
    for number, pair in enumerate(study.pairs):
        left, arrow, right = (part.strip() for part in pair.partition("->"))
        if not (left and arrow and right):
            with study.at("pairs", number):
                raise InputError(
                    f"{pair!r} is not a pair. Write `CONDITION -> TEST TEMPLATE`, as in `CV -> CL`."
                )
        yield number, left, right


def _condition(name: str, by_name: Mapping[str, Way], defined: Templates) -> str:
    if name in by_name:
        return name
    try:
        canonical = defined.named(name).name
    except InputError:
        canonical = name
    if canonical not in by_name:
        raise unknown("condition", name, by_name)
    return canonical
