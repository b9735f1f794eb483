"""Which condition is tested under which template: every one under every one, or only the pairs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from puretune.errors import InputError, unknown
from puretune.study.plan.conditions import Condition, pairs_of
from puretune.study.plan.templates import Templates, distinct, template_named
from puretune.study.spec.study import Study
from puretune.templates import PromptTemplate

Cells = tuple[tuple[Condition, PromptTemplate], ...]
"""What is tested under what, conditions first, in the study's order."""


def cells_of(study: Study, listed: Iterable[Condition], defined: Templates) -> Cells:
    """Every condition under every test template or, where pairs are given, only those."""
    listed = tuple(listed)
    tests = _tests(study, defined)
    if not study.pairs:
        return tuple((one, template) for one in listed for template in tests.values())
    by_name = {one.name: one for one in listed}
    chosen = set()
    for number, left, right in pairs_of(study):
        with study.at("pairs", number):
            template = template_named(right, defined)
            if study.test and template.name not in tests:
                raise unknown("test template", right, tests)
            tests.setdefault(template.name, template)
            chosen.add((_condition(left, by_name, defined), template.name))
    return tuple((one, test) for one in listed for test in tests.values() if (one.name, test.name) in chosen)


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


def _condition(name: str, by_name: Mapping[str, Condition], defined: Templates) -> str:
    found = name if name in by_name else defined.canonical(name)
    if found not in by_name:
        raise unknown("condition", name, by_name)
    return found
