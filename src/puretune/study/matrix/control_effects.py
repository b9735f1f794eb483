"""Each condition under a control minus the same under the safety prompt, in the study's primary metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from puretune.scoring import Measure
from puretune.study.matrix.comparisons import Place, Table, compared, paired, with_holm
from puretune.study.matrix.matrix import ControlEffect, ControlUse
from puretune.study.matrix.planned import primary_measure
from puretune.study.plan.conditions import Condition
from puretune.study.plan.resolve import Resolved
from puretune.study.spec.analysis import Analysis, CellName, Contrast
from puretune.templates import PromptTemplate, without_system


def control_effects(
    resolved: Resolved, measures: Sequence[Measure], tables: Mapping[Place, Table], analysis: Analysis
) -> tuple[ControlEffect, ...]:
    """All effects of a study with controls, Holm's correction over all of them; none without controls.

    The metric is that of the planned comparison (attack success on the first suite of harmful requests).
    """
    able = [one for one in measures if (one.suite, one.scorer, one.metric) in tables and not one.secondary]
    primary = primary_measure(able)
    if primary is None or not resolved.controls:
        return ()
    place = primary.suite, primary.scorer, primary.metric
    table = tables[place]
    asked = [(use, one) for use, one in _contrasts(resolved) if paired(one, table)]
    found = with_holm(compared(place, contrast, table, analysis) for _, contrast in asked)
    return tuple(
        ControlEffect(
            use, comparison, table[contrast.first].rate, table[contrast.second].rate, primary.better
        )
        for (use, contrast), comparison in zip(asked, found, strict=True)
    )


def _contrasts(resolved: Resolved) -> Iterator[tuple[ControlUse, Contrast]]:
    tests: dict[str, tuple[Condition, list[PromptTemplate]]] = {}
    for condition, template in resolved.cells:
        tests.setdefault(condition.name, (condition, []))[1].append(template)
    controlled = {one.of.name for one in resolved.controls if one.kind != "paraphrase"}
    for condition, under in tests.values():
        for safe in under:
            if safe.safety and (safe.name in controlled or not controlled):
                for use, template in _in_place_of(safe, condition, under, resolved):
                    name = condition.name
                    yield use, Contrast(CellName(name, template.name), CellName(name, safe.name))


def _in_place_of(
    safe: PromptTemplate, condition: Condition, under: Sequence[PromptTemplate], resolved: Resolved
) -> Iterator[tuple[ControlUse, PromptTemplate]]:
    """The controls of a safety template, and what a condition may leak under, each once."""
    trained = condition.template
    for one in resolved.controls:
        of = trained if one.kind == "paraphrase" else safe
        if one.template is not None and one.of == of:
            yield one.kind, one.template
    if trained is not None and trained != safe:
        yield "training template", trained
    if trained is not None and trained.system and trained.name != without_system(trained, under).name:
        yield "no system prompt", without_system(trained, under)
