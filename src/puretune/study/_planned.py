"""The planned comparison: which cells a study sets against each other, and on which metric it is tested."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from puretune.errors import InputError
from puretune.scoring import Measure
from puretune.study._analysis import Analysis, AnalysisSection, CellName, Contrast, contrasts_of
from puretune.study._comparisons import Place, Table, compared, paired, with_holm
from puretune.study._conditions import Condition
from puretune.study._matrix import Comparison
from puretune.study._tested import Cells
from puretune.templates import PromptTemplate, alias_of
from puretune.visible import one_line

# The paper's own choice where a study has several; otherwise the study's order decides.
_SAFE_FIRST = ("chat:llama", "chat:llama-short", "chat:mpt")
_PURE_FIRST = ("chat:vanilla",)


def planned_contrasts(section: AnalysisSection, cells: Cells) -> tuple[Contrast, ...]:
    """What the study names or, where it names nothing, the same safety template on both sides minus PTST.

    InputError for a name of no cell. Empty where nothing is named and the study has no such two cells.
    """
    named = contrasts_of(section)
    if not named:
        return tuple(_default(cells))
    known = [CellName(one.name, template.name) for one, template in cells]
    return tuple(Contrast(_known(one.first, known), _known(one.second, known)) for one in named)


def _known(said: CellName, known: Sequence[CellName]) -> CellName:
    """The cell that a study means, short names of templates included."""
    for cell in known:
        if said.condition in (cell.condition, alias_of(cell.condition)) and said.test_template in (
            cell.test_template,
            alias_of(cell.test_template),
        ):
            return cell
    raise InputError(
        f"contrast: the study has no cell `{one_line(said)}`. It has: "
        f"{', '.join(f'`{one_line(cell)}`' for cell in known[:6])}{', ...' if len(known) > 6 else ''}."
    )


def _default(cells: Cells) -> Iterable[Contrast]:
    """One contrast or none: of the safe templates the preferred one, and the preferred pure tuning."""
    for safe in _preferred([template for _, template in cells if template.safety], _SAFE_FIRST):
        tuned = [one for one, template in cells if template == safe and one.template is not None]
        same = _plain([one for one in tuned if one.template == safe])
        pure = [one.template for one in tuned if one.template is not None and not one.template.safety]
        if same is None or not pure:
            continue
        chosen = _preferred(pure, _PURE_FIRST)[0]
        ptst = _plain([one for one in tuned if one.template == chosen])
        if ptst is not None:
            yield Contrast(CellName(same.name, safe.name), CellName(ptst.name, safe.name))
            return


def _plain(tuned: Sequence[Condition]) -> Condition | None:
    """Of several conditions under one template the plain one, which is called like it, else the first."""
    named = [one for one in tuned if one.template is not None and one.name == one.template.name]
    return next(iter([*named, *tuned]), None)


def _preferred(templates: Iterable[PromptTemplate], first: Sequence[str]) -> list[PromptTemplate]:
    def place(template: PromptTemplate) -> int:
        found = [i for i, name in enumerate(first) if template.name in (name, f"gsm:{name}")]
        return found[0] if found else len(first)

    return sorted(dict.fromkeys(templates), key=place)


def planned_comparisons(
    contrasts: Sequence[Contrast],
    measures: Sequence[Measure],
    tables: Mapping[Place, Table],
    analysis: Analysis,
) -> tuple[Comparison, ...]:
    """The contrasts on the primary metric, corrected among themselves; then on all others, exploratory."""
    harmful = {one.suite for one in measures if one.measures == "harm" and _place(one) in tables}
    able = [
        one
        for one in measures
        if not one.secondary
        and _place(one) in tables
        and not (one.measures == "refusal" and one.suite in harmful)
    ]
    primary = primary_measure(able)
    if primary is None:
        return ()
    rest = [one for one in able if one is not primary]
    first = _compared(contrasts, [primary], tables, analysis)
    others = _compared(contrasts, rest, tables, analysis)
    return (*(replace(one, role="planned") for one in with_holm(first)), *with_holm(others))


def primary_measure(measures: Sequence[Measure]) -> Measure | None:
    """What the planned comparison is tested on: harm on the first suite of harmful requests, else refusals
    there; where no suite asks for harm, the first metric whose better direction is known."""
    asked = [one for one in measures if one.asks == "harm" and one.better] or [
        one for one in measures if one.measures == "harm"
    ]
    suite = [one for one in asked if one.suite == asked[0].suite]
    kinds = {one.measures: one for one in reversed(suite)}
    known = (one for one in measures if one.better)
    return kinds.get("harm") or kinds.get("refusal") or next(iter([*suite, *known]), None)


def _compared(
    contrasts: Sequence[Contrast],
    measures: Iterable[Measure],
    tables: Mapping[Place, Table],
    analysis: Analysis,
) -> list[Comparison]:
    return [
        compared(_place(measure), contrast, tables[_place(measure)], analysis)
        for measure in measures
        for contrast in contrasts
        if paired(contrast, tables[_place(measure)])
    ]


def _place(measure: Measure) -> Place:
    return measure.suite, measure.scorer, measure.metric
