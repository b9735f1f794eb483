"""Conditions of a finished study against one of them, on the same prompts under the same test template.

Reads ``verdicts.jsonl``, so that what is compared is what people can open. One adapter against another:
McNemar's exact test and Tango's interval, which speak of new prompts. Several seeds: differences of the
seeds' means, which speak of new training runs. Holm's correction runs over all that is compared at once.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from puretune.errors import InputError, unknown
from puretune.statistics import (
    Estimate,
    holm,
    mcnemar,
    paired_bootstrap,
    paired_difference,
    pooled_difference,
    seeds_differ,
)
from puretune.study._directory import sound_file

_Scores = dict[tuple[str, int], float | None]
"""A value per prompt and sample; None where the verdict could not be read."""
_Cells = dict[tuple[str, str, str], dict[str, dict[int | None, _Scores]]]
"""By suite, metric and test template: conditions, their seeds, and the scores of each."""


@dataclass(frozen=True)
class Comparison:
    """One condition minus the reference condition, in one metric under one test template."""

    suite: str
    metric: str
    test_template: str
    condition: str
    reference: str
    seeds: int
    n: int
    """Prompts times samples."""
    difference: float
    low: float
    high: float
    """95 % interval; ``estimand`` says for what. Unparsed verdicts widen it from both ends."""
    estimand: str
    method: str
    p: float | None
    """Two-sided; None where no test fits (graded scores, unparsed verdicts, differences that do not vary)."""
    holm: float | None = None
    """The same, corrected for everything that is compared at once."""


def compare(run: Path, reference: str | None = None, metric: str | None = None) -> list[Comparison]:
    """Every condition of a finished run against ``reference`` (by default the untuned model, or the first).

    Only the last step of each condition, and only cells that both have judged whole (a judge budget leaves
    cells in part). ``metric`` is compared alone where it is named. InputError where there is no such
    condition or metric, or nothing to compare.
    """
    cells = _read(sound_file(run, "verdicts.jsonl"))
    conditions = dict.fromkeys(name for held in cells.values() for name in held)
    chosen = reference or ("untuned" if "untuned" in conditions else next(iter(conditions), ""))
    if chosen not in conditions:
        raise unknown("condition", chosen, conditions)
    metrics = {name for _, name, _ in cells}
    if metric is not None and metric not in metrics:
        raise unknown("metric", metric, metrics)
    found = [
        _compared(place, name, chosen, held[name], held[chosen])
        for place, held in cells.items()
        for name in held
        if name != chosen and metric in (None, place[1]) and _alike(held.get(chosen), held[name])
    ]
    if not found:
        raise InputError(f"{run}: no other condition was judged on the prompts of {chosen!r}.")
    adjusted = holm([math.nan if one.p is None else one.p for one in found])
    return [
        replace(one, holm=None if math.isnan(value) else float(value))
        for one, value in zip(found, adjusted, strict=True)
    ]


def _read(path: Path) -> _Cells:
    cells: _Cells = {}
    try:
        with path.open(encoding="utf-8") as file:
            for row in map(json.loads, file):
                if row["step"] is None:
                    _add(cells, row)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. A finished `puretune run` writes it.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not the verdicts of a run ({error}). Run the study again.") from None
    return cells


def _add(cells: _Cells, row: Mapping[str, Any]) -> None:
    for metric, value in row["values"].items():
        place = row["suite"], f"{metric} ({row['scorer']})", row["test_template"]
        scores = cells.setdefault(place, {}).setdefault(row["condition"], {}).setdefault(row["seed"], {})
        scores[row["prompt_id"], row["sample"]] = None if value is None else float(value)


def _alike(reference: Mapping[int | None, _Scores] | None, other: Mapping[int | None, _Scores]) -> bool:
    """Whether the two can be paired: the same prompts in every run, and seeds that meet."""
    if not reference:
        return False
    runs = [*reference.values(), *other.values()]
    return len({frozenset(scores) for scores in runs}) == 1 and bool(_pairs(reference, other))


def _pairs(
    reference: Mapping[int | None, _Scores], other: Mapping[int | None, _Scores]
) -> list[tuple[_Scores, _Scores]]:
    """(other, reference) run by run: the same seed, or each seed against a model that was not tuned."""
    if len(reference) == 1 and None in reference:
        return [(scores, reference[None]) for scores in other.values()]
    if len(other) == 1 and None in other:
        return [(other[None], scores) for scores in reference.values()]
    return [(other[seed], reference[seed]) for seed in other if seed in reference]


def _compared(
    place: tuple[str, str, str],
    condition: str,
    reference: str,
    other: Mapping[int | None, _Scores],
    base: Mapping[int | None, _Scores],
) -> Comparison:
    pairs = _pairs(base, other)
    keys = sorted(pairs[0][0])
    clusters = [prompt for prompt, _ in keys]
    first, second = ([[run[key] for key in keys] for run in side] for side in zip(*pairs, strict=True))
    low, high = (
        _difference(_filled(first, a), _filled(second, b), clusters) for a, b in ((0.0, 1.0), (1.0, 0.0))
    )
    middle = _difference(_filled(first, 0.0), _filled(second, 0.0), clusters)
    whole = all(value is not None for row in (*first, *second) for value in row)
    suite, metric, template = place
    return Comparison(
        suite=suite,
        metric=metric,
        test_template=template,
        condition=condition,
        reference=reference,
        seeds=len(pairs),
        n=len(keys),
        difference=middle.value,
        low=low.low,
        high=high.high,
        estimand=middle.estimand,
        method=middle.method,
        p=_test(_filled(first, 0.0), _filled(second, 0.0), clusters) if whole else None,
    )


def _filled(rows: Sequence[Sequence[float | None]], value: float) -> list[list[float]]:
    return [[value if score is None else score for score in row] for row in rows]


def _difference(first: list[list[float]], second: list[list[float]], clusters: list[str]) -> Estimate:
    if len(first) > 1:
        return pooled_difference(first, second, clusters)
    if _binary(first, second, clusters):
        return paired_difference(first[0], second[0])
    return paired_bootstrap(first[0], second[0], clusters)


def _test(first: list[list[float]], second: list[list[float]], clusters: list[str]) -> float | None:
    if len(first) > 1:
        return seeds_differ([_mean(row) for row in first], [_mean(row) for row in second])
    return mcnemar(first[0], second[0]).p if _binary(first, second, clusters) else None


def _mean(row: Sequence[float]) -> float:
    return math.fsum(row) / len(row)


def _binary(first: list[list[float]], second: list[list[float]], clusters: list[str]) -> bool:
    """Whether every prompt has one answer, which is right or wrong."""
    return len(set(clusters)) == len(clusters) and set(_values(first, second)) <= {0.0, 1.0}


def _values(*sides: list[list[float]]) -> Iterator[float]:
    for side in sides:
        for row in side:
            yield from row
