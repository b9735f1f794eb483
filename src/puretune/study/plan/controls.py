"""Controls in a study: further templates to test under, made for the tokenizer of its model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from puretune.errors import InputError
from puretune.study.plan.conditions import Condition
from puretune.study.plan.templates import Templates
from puretune.study.plan.test_pairs import Cells
from puretune.study.spec.sections import ControlsSection
from puretune.study.spec.study import Study
from puretune.templates import (
    BUILTIN_TEMPLATES,
    Control,
    PromptTemplate,
    Renderer,
    alias_of,
    control,
    without_system,
)


def controls_of(
    study: Study, cells: Cells, defined: Templates, renderer: Callable[[], Renderer]
) -> tuple[Control, ...]:
    """The controls of a study whose other cells these are; none if it asks for none.

    ``renderer`` is asked for only where there are some. InputError if nothing is tested under the template of
    ``of``, or under any safety template.
    """
    settings = study.control_settings
    if settings is None:
        return ()
    with study.at("controls"):
        safe, rendering = _safe(settings, cells, defined), renderer()
        tuned = list(dict.fromkeys(one.template for one, _ in cells if one.template is not None))
        made = tuple(
            control(rendering, template, kind, settings.seed)
            for kind in settings.kinds
            for template in (tuned if kind == "paraphrase" else safe)
        )
        _check_names(made, defined)
    return made


def with_controls(study: Study, cells: Cells, controls: Sequence[Control], defined: Templates) -> Cells:
    """The cells and those of the controls.

    What is tested under a safety template is tested under its controls too; what was tuned, under a
    paraphrase of its training template and, unless ``test_leakage`` is off, under that template itself and
    under it without a system prompt.
    """
    if not controls:
        return cells
    known = [*defined.own.values(), *BUILTIN_TEMPLATES.values()]
    found: dict[str, tuple[Condition, dict[str, PromptTemplate]]] = {}
    for condition, template in cells:
        found.setdefault(condition.name, (condition, {}))[1][template.name] = template
    for condition, tests in found.values():
        also = list(_controls_for(condition, list(tests.values()), controls))
        if study.test_leakage and condition.template is not None:
            also += [condition.template, without_system(condition.template, known)]
        for template in also:
            tests.setdefault(template.name, template)
    return tuple((condition, template) for condition, tests in found.values() for template in tests.values())


def _controls_for(
    condition: Condition, tests: Sequence[PromptTemplate], controls: Sequence[Control]
) -> Iterator[PromptTemplate]:
    for one in controls:
        of = [condition.template] if one.kind == "paraphrase" else tests
        if one.template is not None and one.of in of:
            yield one.template


def _safe(settings: ControlsSection, cells: Cells, defined: Templates) -> list[PromptTemplate]:
    """The safety templates that controls are made of."""
    tested = list(dict.fromkeys(template for _, template in cells))
    if settings.of is not None:
        named = defined.named(settings.of)
        if named not in tested:
            raise InputError(f"of: nothing is tested under {settings.of!r}. Name a test template.")
        return [named]
    safe = [template for template in tested if template.safety]
    if not safe and set(settings.kinds) != {"paraphrase"}:
        raise InputError(
            "no test template carries safety instructions, so there is nothing to control for. Test under "
            "one, such as CL, or say `safety: true` in a template of your own."
        )
    return safe


def _check_names(made: Sequence[Control], defined: Templates) -> None:
    for one in made:
        if one.template is not None and one.template.name in defined.own:
            raise InputError(
                f"the study has a template {one.template.name!r} itself. Rename it: that is the name of a "
                f"control of {alias_of(one.of.name)}."
            )
