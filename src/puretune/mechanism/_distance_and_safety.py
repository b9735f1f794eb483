"""What was measured under each test template, beside its distance: is it the shift, or the safety prompt?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from puretune.mechanism._template_distance import TemplateDistance
from puretune.study import Matrix, PooledCell

Rate = Literal["harm", "task"]
Rates = Mapping[tuple[str, str], Mapping[Rate, float]]
"""By train and test template."""
_Floats = NDArray[np.float64]
DISTANCES = ("edits", "divergence", "hidden")


@dataclass(frozen=True)
class Separation:
    """One rate over the test templates of one training template, by distance and by safety prompts.

    A description of these templates, which nobody drew at random; it has no interval.
    """

    train_template: str
    rate: Rate
    distance: str
    """``edits``, ``divergence`` or ``hidden``."""
    without: float
    """Spearman's rank correlation of distance and rate over the templates without a safety prompt."""
    among_safe: float
    """The same over those with one. NaN where all are alike."""
    safety_prompt: float
    """Least squares of the rate on the distance's rank and on whether there is a safety prompt: what a safety
    prompt adds at equal rank (-0.3: 30 points less)."""
    templates: int


def measured_beside(matrix: Matrix) -> dict[tuple[str, str], dict[Rate, float]]:
    """What a finished study measured for each pair of templates, of the first condition under each training
    template: the first metric of harm, and the first of the first task."""
    found: dict[tuple[str, str], dict[Rate, float]] = {}
    for rate, place in _places(matrix).items():
        for cell in matrix.pooled:
            if (cell.suite, cell.scorer, cell.metric) == place and _counts(cell, matrix):
                key = (str(cell.train_template), cell.test_template)
                found.setdefault(key, {}).setdefault(rate, float(cell.value or 0.0))
    return found


def separations(distances: Sequence[TemplateDistance], rates: Rates) -> list[Separation]:
    """Every rate and distance for each training template with three or more test templates of both kinds."""
    return [
        made
        for train in dict.fromkeys(one.train_template for one in distances)
        for rate in ("harm", "task")
        for distance in DISTANCES
        if (made := _separation(train, rate, distance, distances, rates)) is not None
    ]


def _separation(
    train: str, rate: Rate, distance: str, distances: Sequence[TemplateDistance], rates: Rates
) -> Separation | None:
    held = [
        (float(getattr(one, distance)), one.safety, rates[train, one.test_template][rate])
        for one in distances
        if one.train_template == train and rate in rates.get((train, one.test_template), {})
    ]
    far, safe, values = np.array(held, dtype=float).reshape(-1, 3).T
    if min(np.sum(safe == 0), np.sum(safe == 1)) < 3:
        return None
    ranks = np.argsort(np.argsort(far))
    design = np.column_stack([np.ones(len(held)), ranks, safe])
    effect = float(np.linalg.lstsq(design, values, rcond=None)[0][2])
    without, among_safe = (_rank_correlation(far, values, safe == kind) for kind in (0, 1))
    return Separation(train, rate, distance, without, among_safe, effect, len(held))


def _rank_correlation(far: _Floats, values: _Floats, chosen: NDArray[np.bool_]) -> float:
    if np.ptp(far[chosen]) == 0 or np.ptp(values[chosen]) == 0:
        return float("nan")
    return float(spearmanr(far[chosen], values[chosen]).statistic)


def _places(matrix: Matrix) -> dict[Rate, tuple[str, str, str]]:
    """Suite, scorer and metric of each rate."""
    found: dict[Rate, tuple[str, str, str]] = {}
    for one in matrix.measures:
        if one.measures == "harm" and one.asks == "harm":
            found.setdefault("harm", (one.suite, one.scorer, one.metric))
        if one.measures == "help" and one.asks == "task":
            found.setdefault("task", (one.suite, one.scorer, one.metric))
    return found


def _counts(cell: PooledCell, matrix: Matrix) -> bool:
    """Whether a cell is of the first condition under its training template, after its last step."""
    under = [one.condition for one in matrix.pooled if one.train_template == cell.train_template]
    return cell.train_template is not None and cell.step is None and cell.condition == under[0]
