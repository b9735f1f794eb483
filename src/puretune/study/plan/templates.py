"""The templates that a study can name: built-in ones and its own."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from puretune.errors import InputError
from puretune.study.spec.sections import UNTUNED
from puretune.study.spec.study import Study
from puretune.templates import OwnSystem, PromptTemplate, load_templates, own_template, resolve_template


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

    def canonical(self, name: str) -> str:
        """The full name of the template that ``name`` is an alias of; ``name`` itself where it is none."""
        try:
            return self.named(name).name
        except InputError:
            return name


def templates_of(study: Study) -> Templates:
    """The templates that the study can name; InputError if it redefines one."""
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


def template_named(name: str, defined: Templates) -> PromptTemplate:
    """The template of that name; InputError with the nearest, ``untuned`` among them."""
    if difflib.get_close_matches(name, [UNTUNED], cutoff=0.8):
        raise InputError(f"unknown template {name!r}. Did you mean the condition {UNTUNED!r}?")
    return defined.named(name)


def distinct(study: Study, key: str, names: Iterable[str]) -> None:
    """InputError for a duplicate name under a key of the study."""
    for name, count in Counter(names).items():
        if count > 1:
            with study.at(key):
                raise InputError(
                    f"duplicate name {name!r} ({count} times). Keep one, or give the others a `name`."
                )
