"""Which cells a study compares: what it names, or the same template minus PTST."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from puretune.errors import InputError
from puretune.study.plan.conditions import Condition
from puretune.study.plan.test_pairs import Cells
from puretune.study.spec.analysis import AnalysisSection, CellName, Contrast, contrasts_of
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
