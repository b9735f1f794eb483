"""Which condition to serve under which template, what every alternative costs, and what cannot be told.

The rule: of the cells that are useful (they keep at least half of the largest gain over the untuned model,
or are within 10 points of the best, on every suite; ``give_up`` says otherwise), those as safe as the safest
(measured harm within the study's margin); of these, those as helpful as the most helpful (within the margin);
of these, the one with the least harm, then one under a safety prompt, then one that was not tuned under that
same template. Values choose; intervals say what is shown: an alternative is more harmful where the paired
difference says so after Holm's correction over all alternatives, as safe where it is equivalent within the
margin, and open otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from puretune.errors import InputError
from puretune.scoring import Measure
from puretune.study.matrix.compare import stored_tables
from puretune.study.matrix.comparisons import Place, Table, compared, paired, with_holm
from puretune.study.matrix.matrix import Alternative, Comparison, Matrix, Recommendation, Safety
from puretune.study.matrix.planned import harm_measures, help_measures, over_refusal_measures
from puretune.study.spec.analysis import Analysis, CellName, Contrast

GIVE_UP = 0.5
"""Share of the largest gain in helpfulness that safety may cost."""
_FREE = 0.1
"""Helpfulness that it may cost where little or nothing was gained: 10 points."""
_ALPHA = 0.05

Tables = Mapping[Place, Table]
_Values = Mapping[tuple[Place, CellName], float]


def recommend(run: Path, give_up: float = GIVE_UP) -> Recommendation:
    """What to serve of a finished run, judged from its stored verdicts.

    InputError if it is no finished run, or ``give_up`` is no share from 0 to 1.
    """
    if not 0 <= give_up <= 1:
        raise InputError(
            f"give_up is {give_up!r}; use a share from 0 to 1, such as 0.5 for half of the gain."
        )
    return recommendation(*stored_tables(run), give_up)


def recommendation(
    matrix: Matrix, tables: Tables, analysis: Analysis, give_up: float = GIVE_UP
) -> Recommendation:
    """What to serve of a matrix; ``tables`` are the runs of its last steps by suite, scorer and metric."""
    harm = harm_measures(matrix.measures)
    if not harm:
        return _nothing("no suite of this study asks for harm")
    helpful = help_measures(matrix.measures)
    values, cells = _values(matrix), _cells(matrix)
    rated = [cell for cell in cells if all((_place(one), cell) in values for one in harm)]
    if not rated:
        return _nothing("no cell was judged for harm on every suite that asks for it")
    kept = [cell for cell in rated if _is_useful(cell, rated, helpful, values, give_up)] or rated
    safe = _near_best(kept, harm, values, analysis.margin)
    best = _near_best(safe, helpful, values, analysis.margin)
    ranked = sorted(rated, key=lambda cell: _rank(cell, harm, helpful, values, matrix))
    chosen = next(cell for cell in ranked if cell in best)
    others = [cell for group in (best, kept, rated) for cell in ranked if cell in group and cell != chosen]
    return _judged(matrix, tables, analysis, chosen, list(dict.fromkeys(others)), set(kept))


def _judged(
    matrix: Matrix,
    tables: Tables,
    analysis: Analysis,
    chosen: CellName,
    others: Sequence[CellName],
    kept: set[CellName],
) -> Recommendation:
    """The recommendation with what every alternative costs."""
    harm = harm_measures(matrix.measures)
    rest = [*help_measures(matrix.measures), *over_refusal_measures(matrix.measures)]
    harms = with_holm(_costs(harm, others, chosen, tables, analysis))
    costs = [*harms, *with_holm(_costs(rest, others, chosen, tables, analysis))]
    alternatives = tuple(
        Alternative(*cell, cell in kept, _safety(cell, harms, harm), _about(cell, costs)) for cell in others
    )
    open_ = [one for one in alternatives if one.keeps_help and one.safety == "open"]
    untuned = CellName("untuned", chosen.test_template)
    against = with_holm(_against(untuned, chosen, [*harm, *rest], tables, analysis))
    return Recommendation(
        state="cannot tell" if open_ or not others else "shown",
        condition=chosen.condition,
        test_template=chosen.test_template,
        reason=_reason(len(open_), len(kept), len(others), bool(help_measures(matrix.measures))),
        as_trained=_trained(matrix).get(chosen.condition) == chosen.test_template,
        alternatives=alternatives,
        against_untuned=tuple(against),
        **_needed(open_, harm),
    )


def _nothing(reason: str) -> Recommendation:
    return Recommendation(state="cannot tell", condition=None, test_template=None, reason=reason)


def _reason(open_: int, kept: int, others: int, helpful: bool) -> str:
    said = "as little measured harm as any" + (
        " that keeps half of the gain, and most helpful" if helpful else ""
    )
    if not helpful:
        said += " (helpfulness was not measured: a model that refuses everything would be chosen too)"
    if not others:
        return "the only cell that was judged for harm"
    if kept == 1:
        return f"{said}; no other keeps enough helpfulness"
    if open_:
        return f"{said}; whether it is safer than {open_} of {kept - 1} others is not shown"
    return f"{said}; each other one is shown to be more harmful, or as safe"


def _values(matrix: Matrix) -> _Values:
    """Means over seeds at the end of training, higher always better."""
    better = {_place(one): one.better for one in matrix.measures}
    return {
        (place, CellName(cell.condition, cell.test_template)): cell.value
        if better.get(place) == "higher"
        else 1 - cell.value
        for cell in matrix.pooled
        if cell.step is None and cell.value is not None
        for place in [(cell.suite, cell.scorer, cell.metric)]
    }


def _cells(matrix: Matrix) -> list[CellName]:
    """What could be served: everything that was tuned, or the untuned model where nothing was; no control."""
    controls = {one.get("name") for one in matrix.provenance.get("controls", ())}
    tested = (c for c in matrix.pooled if c.test_template not in controls)
    cells = list(dict.fromkeys(CellName(c.condition, c.test_template) for c in tested))
    return [cell for cell in cells if matrix.kinds.get(cell.condition) != "untuned"] or cells


def _is_useful(
    cell: CellName, cells: Sequence[CellName], helpful: Sequence[Measure], values: _Values, give_up: float
) -> bool:
    """Whether a cell keeps all but ``give_up`` of the largest gain over the untuned model, or is within 10
    points of the best, on every suite.

    The untuned model counts as it is under the same template, and with 0 where it was not asked.
    """
    for place in map(_place, helpful):
        least = values.get((place, CellName("untuned", cell.test_template)), 0.0)
        best = max((values.get((place, other), 0.0) for other in cells), default=0.0)
        if values.get((place, cell), 0.0) < best - max(_FREE, give_up * (best - least)) - 1e-9:
            return False
    return True


def _near_best(
    cells: Sequence[CellName], measures: Sequence[Measure], values: _Values, margin: float
) -> list[CellName]:
    """The cells whose mean over the measures is within ``margin`` of the best."""
    means = {cell: _mean(cell, measures, values) for cell in cells}
    return [cell for cell in cells if means[cell] >= max(means.values()) - margin - 1e-9]


def _mean(cell: CellName, measures: Sequence[Measure], values: _Values) -> float:
    """Higher is better; 0 for what was not measured."""
    return sum(values.get((_place(one), cell), 0.0) for one in measures) / max(1, len(measures))


def _rank(
    cell: CellName, harm: Sequence[Measure], helpful: Sequence[Measure], values: _Values, matrix: Matrix
) -> tuple[float, bool, bool, float]:
    """Best first: safety, a safety prompt, not the template of the training, helpfulness."""
    safe, useful = (round(_mean(cell, measures, values), 9) for measures in (harm, helpful))
    prompted = matrix.provenance.get("templates", {}).get(cell.test_template, {}).get("safety", False)
    return -safe, not prompted, _trained(matrix).get(cell.condition) == cell.test_template, -useful


def _costs(
    measures: Iterable[Measure],
    others: Sequence[CellName],
    chosen: CellName,
    tables: Tables,
    analysis: Analysis,
) -> Iterator[Comparison]:
    """Every alternative minus the chosen cell."""
    for measure in measures:
        for cell in others:
            yield from _compared(Contrast(cell, chosen), _place(measure), tables, analysis)


def _against(
    untuned: CellName, chosen: CellName, measures: Iterable[Measure], tables: Tables, analysis: Analysis
) -> Iterator[Comparison]:
    """The chosen cell minus the untuned model under the same template."""
    if untuned != chosen:
        for measure in measures:
            yield from _compared(Contrast(chosen, untuned), _place(measure), tables, analysis)


def _compared(contrast: Contrast, place: Place, tables: Tables, analysis: Analysis) -> Iterator[Comparison]:
    table = tables.get(place)
    if table is not None and paired(contrast, table):
        yield compared(place, contrast, table, analysis)


def _about(cell: CellName, costs: Iterable[Comparison]) -> tuple[Comparison, ...]:
    return tuple(one for one in costs if (one.condition, one.test_template) == cell)


def _safety(cell: CellName, harms: Sequence[Comparison], harm: Sequence[Measure]) -> Safety:
    """What is shown of a cell's safety against the chosen one's, over all suites that ask for harm."""
    better = {_place(one): one.better for one in harm}
    found = _about(cell, harms)
    said = [_shown(one, better[one.suite, one.scorer, one.metric] or "lower") for one in found]
    if "more harmful" in said:
        return "more harmful"
    return "as safe" if said and len(said) == len(harm) and set(said) == {"as safe"} else "open"


def _shown(one: Comparison, better: str) -> Safety:
    if one.conclusion in ("equivalent", better):
        return "as safe"
    sure = one.holm is not None and one.holm <= _ALPHA
    return "more harmful" if one.conclusion != "inconclusive" and sure else "open"


def _needed(open_: Sequence[Alternative], harm: Sequence[Measure]) -> dict[str, int | None]:
    """Seeds and prompts that would find a difference of the margin for every open alternative."""
    places = {_place(one) for one in harm}
    asked = [c for one in open_ for c in one.costs if (c.suite, c.scorer, c.metric) in places]
    seeds = [one.seeds_needed for one in asked if one.seeds_needed]
    prompts = [round(one.prompts_factor * one.prompts) for one in asked if one.prompts_factor]
    return {"seeds_needed": max(seeds, default=None), "prompts_needed": max(prompts, default=None)}


def _trained(matrix: Matrix) -> dict[str, str | None]:
    return {cell.condition: cell.train_template for cell in matrix.pooled}


def _place(measure: Measure) -> Place:
    return measure.suite, measure.scorer, measure.metric
