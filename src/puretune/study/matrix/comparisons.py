"""One cell minus another, on the same prompts and seeds: the difference, its interval, and what it says.

The same for the planned comparison of a study and for everything that ``puretune compare`` sets side by side.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from puretune.errors import InputError
from puretune.statistics import (
    POWER_REACH,
    BoundedDifference,
    bounded_difference,
    data_needed,
    holm,
)
from puretune.study.matrix.matrix import Comparison
from puretune.study.matrix.runs import Runs, spread_of
from puretune.study.spec.analysis import Analysis, CellName, Contrast

Place = tuple[str, str, str]
"""Suite, scorer, metric."""
Table = Mapping[CellName, Runs]
"""The last step of every condition under every test template, in one metric of one suite."""


def paired(contrast: Contrast, table: Table) -> bool:
    """Whether both cells are there, were asked the same, and have seeds in common."""
    first, second = table.get(contrast.first), table.get(contrast.second)
    if first is None or second is None:
        return False
    return set(first.answers) == set(second.answers) and bool(paired_seeds(first, second))


def compared(place: Place, contrast: Contrast, table: Table, analysis: Analysis) -> Comparison:
    """The first cell of a contrast minus the second; InputError if they cannot be paired."""
    if not paired(contrast, table):
        raise InputError(f"{contrast}: no two cells with the same prompts and a seed in common.")
    first = table[contrast.first]
    second = table[contrast.second].ordered(first.answers)
    seeds, tuned = paired_seeds(first, second), first.tuned + second.tuned
    prompts = first.prompts(analysis.population)
    spread = spread_of(table, analysis.population) if len(seeds) > 1 else None
    found = bounded_difference(
        first.only(seeds),
        second.only(seeds),
        prompts,
        spread=spread,
        seed_sd=analysis.seed_sd if tuned else None,
        tuned=max(tuned, 1),
    )
    suite, scorer, metric = place
    concluded = found.conclusion(analysis.margin)
    needed: tuple[int | None, float | None] = (None, None)
    if concluded == "inconclusive":
        needed = data_needed(found.standard_error, found.seed_variance, len(seeds), analysis.margin)
    return Comparison(
        suite=suite,
        scorer=scorer,
        metric=metric,
        condition=contrast.first.condition,
        test_template=contrast.first.test_template,
        reference=contrast.second.condition,
        reference_template=contrast.second.test_template,
        seeds=len(seeds) if tuned else 0,
        n=len(first.answers),
        difference=found.value,
        low=found.interval.low,
        high=found.interval.high,
        estimand=_estimand(found, tuned, len(seeds)),
        method=found.method,
        p=found.p,
        margin=analysis.margin,
        conclusion=concluded,
        seed_sd=_seed_sd(found, tuned, len(seeds), analysis),
        detectable=POWER_REACH * found.standard_error,
        seeds_needed=needed[0],
        prompts_factor=needed[1],
        prompts=len(set(prompts.draws)),
    )


def with_holm(found: Iterable[Comparison]) -> list[Comparison]:
    """The same with Holm's correction over all of them."""
    held = list(found)
    adjusted = holm([one.p for one in held])
    return [replace(one, holm=float(value)) for one, value in zip(held, adjusted, strict=True)]


def paired_seeds(first: Runs, second: Runs) -> list[int | None]:
    """The seeds that both have; those of the other where one was not tuned."""
    if not first.tuned:
        return list(second.seeds)
    if not second.tuned:
        return list(first.seeds)
    return [seed for seed in first.seeds if seed in second.seeds]


def _estimand(found: BoundedDifference, tuned: int, seeds: int) -> str:
    if tuned == 0:
        return found.estimand.replace("these two models", "these two untuned cells", 1)
    return found.estimand


def _seed_sd(found: BoundedDifference, tuned: int, seeds: int, analysis: Analysis) -> float | None:
    """Of one condition, between training runs; None if one run says nothing about it."""
    if not tuned or (seeds == 1 and analysis.seed_sd is None):
        return None
    return math.sqrt(found.seed_variance / tuned)
