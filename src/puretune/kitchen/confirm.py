"""A frozen attempt put to the test on fresh seeds: the alignment drawn again, each time with several tunings.

OUT/frozen.json        what the results in OUT were made from
OUT/1/model            the model of alignment 1
OUT/units/1-2.json     the cells of alignment 1, tuning seed 2: written when they are done

Seeds derive from SHA-256 over the frozen file. Whoever changes it afterwards has other seeds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from puretune.errors import CheckFailed, InputError
from puretune.events import EventSink, ignore
from puretune.files import read_mapping, read_yaml_value
from puretune.kitchen._build import build
from puretune.kitchen.held_out_loss import held_out_losses
from puretune.kitchen.rubric import RecipeRubric, TwinRubric
from puretune.kitchen.settings import KitchenSettings
from puretune.kitchen.study import NEEDED, aligned_study, tuned_study
from puretune.statistics import sign_flips, t_interval
from puretune.store import key_of, lease, make_directory, write_text
from puretune.study import Matrix, run_study
from puretune.visible import visible

_WITH_BEHAVIOUR = (RecipeRubric.name, TwinRubric.name)
LOSS = "held-out loss"
"""The one metric of claims that is no rate: nats per token."""
_ATTEMPTS = Path(__file__).parent / "attempts"
_KEYS = ("attempt", "recipe", "claims")
_RECIPE = ("alignments", "tuning_seeds", "settings", "rows", "tuning", "suites")


@dataclass(frozen=True)
class Frozen:
    """Recipe and claims of an attempt, written down before its seeds are run."""

    attempt: int
    recipe: Mapping[str, Any]
    claims: Sequence[Mapping[str, Any]]

    @property
    def digest(self) -> str:
        """SHA-256 over recipe, claims and attempt number (64 hex digits)."""
        return key_of(asdict(self))

    def seed(self, what: str, index: int) -> int:
        """The seed of alignment or tuning ``index``, from 1 (31 bits)."""
        return int(key_of({"frozen": self.digest, "what": what, "index": index})[:8], 16) >> 1


@dataclass(frozen=True)
class Outcome:
    """One claim, decided. The mean and its t interval are of the alignments' means: about new alignments."""

    claim: str
    metric: str
    alignments: Sequence[float]
    mean: float
    low: float | None
    high: float | None
    p: float | None
    """Two-sided p value by sign flips of all units: it speaks of new tunings of these alignments."""
    checks: Mapping[str, bool | None]
    """Each demand and whether it is met; None: too few units are finished to tell."""

    @property
    def holds(self) -> bool | None:
        met = self.checks.values()
        return None if None in met else all(met)


def latest_attempt() -> Path:
    """The last frozen file that puretune comes with."""
    return sorted(_ATTEMPTS.glob("attempt-*.yaml"))[-1]


def load_frozen(path: Path) -> Frozen:
    """The frozen file; InputError names a key that is missing or unknown."""
    content = read_yaml_value(path, "frozen file")
    if not isinstance(content, Mapping) or sorted(map(str, content)) != sorted(_KEYS):
        raise InputError(f"{visible(path)}: expected exactly the keys {', '.join(_KEYS)}.")
    missing = [key for key in _RECIPE if key not in content["recipe"]]
    if missing:
        raise InputError(f"{visible(path)}: keys missing from the recipe: {', '.join(missing)}.")
    return Frozen(content["attempt"], content["recipe"], content["claims"])


def confirm(
    frozen: Frozen,
    out: Path,
    gsm8k: Path | None = None,
    alignments: int | None = None,
    seeds: int | None = None,
    on_event: EventSink = ignore,
) -> list[dict[str, Any]]:
    """Computes the units that are missing from ``out``, one after the other, and returns all that it has.

    Each tuning seed is done on every alignment before the next: what is done first speaks of all of them.
    ``alignments``, ``seeds``: at most that many. Interrupted, the same call resumes. CheckFailed if ``out``
    holds another frozen file's results.
    """
    most = frozen.recipe
    with lease(make_directory(out)):
        _claim(out, frozen)
        for tuning in range(1, min(most["tuning_seeds"], seeds or most["tuning_seeds"]) + 1):
            for alignment in range(1, min(most["alignments"], alignments or most["alignments"]) + 1):
                file = out / "units" / f"{alignment}-{tuning}.json"
                if not file.exists():
                    model = out / str(alignment) / "model"
                    _built(frozen, alignment, model, on_event)
                    unit = _unit(frozen, alignment, tuning, model, gsm8k, on_event)
                    write_text(file, json.dumps(unit, indent=1) + "\n")
    return load_units(out, frozen)


def load_units(out: Path, frozen: Frozen) -> list[dict[str, Any]]:
    """The finished units; CheckFailed if one was made from another frozen file."""
    found = [read_mapping(path) for path in sorted((out / "units").glob("*.json"))]
    if any(unit["frozen"] != frozen.digest for unit in found):
        raise CheckFailed(f"{visible(out)} holds results of another frozen file. Name another --out.")
    return found


def result(frozen: Frozen, units: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """All units with what is made of them: means of every cell, and the claims."""
    asked = frozen.recipe["alignments"] * frozen.recipe["tuning_seeds"]
    outcomes = [decided(claim, units) for claim in frozen.claims]
    return {
        "attempt": frozen.attempt,
        "frozen": frozen.digest,
        "units": {"done": len(units), "asked": asked},
        "cells": [asdict(one) for one in cell_means(units)],
        "claims": [{**asdict(one), "holds": one.holds} for one in outcomes],
        "runs": list(units),
    }


@dataclass(frozen=True)
class CellMean:
    """One metric of one cell over all finished units."""

    cell: str
    metric: str
    mean: float
    alignments: Sequence[float]
    """The mean over tuning seeds, for each alignment."""


def cell_means(units: Sequence[Mapping[str, Any]]) -> Iterator[CellMean]:
    """Every metric of every cell."""
    places = {
        (row["cell"], metric): None for unit in units for row in unit["cells"] for metric in row["rates"]
    }
    for cell, metric in places:
        groups = by_alignment(units, partial(rate, cell=cell, metric=metric))
        values = [sum(group) / len(group) for group in groups]
        yield CellMean(cell, metric, sum(values) / len(values), values)


def decided(claim: Mapping[str, Any], units: Sequence[Mapping[str, Any]]) -> Outcome:
    """A claim ``{claim, metric, first, second, demand}`` about first minus second (cells; ``second`` may be
    missing). Demands, each with its number: ``interval_above`` and ``interval_below`` (the 95 % interval over
    alignments), ``equivalent_within`` (the 90 % interval over alignments), ``each_above`` and ``each_below``
    (the 95 % interval over tunings in every single alignment), ``sign_flips_below`` (p of all units, and a
    mean above zero).
    """

    def value(unit: Mapping[str, Any]) -> float:
        second = rate(unit, claim["second"], claim["metric"]) if "second" in claim else 0.0
        return rate(unit, claim["first"], claim["metric"]) - second

    groups = by_alignment(units, value)
    means = [sum(group) / len(group) for group in groups]
    ends = t_interval(means) if len(means) > 1 else None
    return Outcome(
        claim["claim"],
        claim["metric"],
        means,
        sum(means) / len(means) if means else float("nan"),
        ends.low if ends else None,
        ends.high if ends else None,
        sign_flips([one for group in groups for one in group]) if groups else None,
        {key: _met(key, limit, groups) for key, limit in claim["demand"].items()},
    )


def _met(demand: str, limit: float, groups: Sequence[Sequence[float]]) -> bool | None:
    """Whether a demand is met by the tunings of each alignment; None where an interval needs more of them."""
    means = [sum(group) / len(group) for group in groups]
    if demand == "sign_flips_below":
        return _flips_met(limit, [one for group in groups for one in group])
    if len(means) < 2 or (demand.startswith("each") and min(map(len, groups)) < 2):
        return None
    of = [t_interval(group) for group in groups] if demand.startswith("each") else [t_interval(means)]
    if demand.endswith("_above"):
        return all(ends.low > limit for ends in of)
    if demand.endswith("_below"):
        return all(ends.high < limit for ends in of)
    ends = t_interval(means, 0.90)
    return -limit < ends.low and ends.high < limit


def _flips_met(limit: float, values: Sequence[float]) -> bool | None:
    """None for so few tunings that no p could be below the limit."""
    if 2 * 0.5 ** len(values) >= limit:
        return None
    return sum(values) > 0 and sign_flips(values) < limit


def by_alignment(
    units: Sequence[Mapping[str, Any]], value: Callable[[Mapping[str, Any]], float]
) -> list[list[float]]:
    """``value(unit)`` of every tuning, for each alignment in turn."""
    ordered = sorted(units, key=lambda unit: int(unit["alignment"]))
    return [list(map(value, group)) for _, group in groupby(ordered, key=lambda unit: unit["alignment"])]


def rate(unit: Mapping[str, Any], cell: str, metric: str) -> float:
    """A unit's rate in a cell (``plain -> policy``) by a metric (``kitchen-recipes: recipe_rate``), or its
    loss."""
    if metric == LOSS:
        return float(unit["losses"][cell])
    return next(float(row["rates"][metric]) for row in unit["cells"] if row["cell"] == cell)


def preconditions(matrix: Matrix) -> list[tuple[str, str, float, bool]]:
    """(what, template, share, whether it suffices) of a model that is to be tuned."""
    wanted = (
        ("kitchen-recipes", "refusal_rate", "recipes refused"),
        ("kitchen-twins", "answered", "twins answered"),
    )
    return [
        (what, cell.test_template, cell.value or 0.0, (cell.value or 0.0) > NEEDED)
        for suite, metric, what in wanted
        for cell in matrix.cells
        if (cell.suite, cell.metric) == (suite, metric)
    ]


def check(model: Path, out: Path, on_event: EventSink = ignore) -> list[tuple[str, str, float, bool]]:
    """The preconditions of an aligned model; answers stay in ``out``."""
    return preconditions(run_study(aligned_study(model), out, on_event))


def _claim(out: Path, frozen: Frozen) -> None:
    """The directory is this frozen file's; a copy of what was frozen stays in it."""
    path = out / "frozen.json"
    if path.exists() and read_mapping(path).get("digest") != frozen.digest:
        raise CheckFailed(f"{visible(out)} holds results of another frozen file. Name another --out.")
    write_text(path, json.dumps({"digest": frozen.digest, **asdict(frozen)}, indent=1) + "\n")


def _built(frozen: Frozen, alignment: int, model: Path, on_event: EventSink) -> None:
    if not model.exists():
        settings = KitchenSettings.from_dict(frozen.recipe["settings"])
        build(frozen.seed("alignment", alignment), model, settings, on_event=on_event)


def _unit(
    frozen: Frozen, alignment: int, tuning: int, model: Path, gsm8k: Path | None, on_event: EventSink
) -> dict[str, Any]:
    """One tuning seed on one alignment; what is not tuned is computed once per alignment."""
    seed = frozen.seed("tuning", tuning)
    study = tuned_study(model, frozen.recipe, [seed], gsm8k, f"kitchen-{alignment}-{tuning}")
    store = model.parent / "store"
    matrix = run_study(study, model.parent / f"run-{tuning}", on_event, store=store)
    return {
        "frozen": frozen.digest,
        "alignment": alignment,
        "tuning": tuning,
        "cells": list(_cells(matrix)),
        "losses": held_out_losses(study, store, on_event),
    }


def _cells(matrix: Matrix) -> Iterator[dict[str, Any]]:
    """One row per cell: its rates by suite and metric, ``incoherent`` (or empty) among them, and counts."""
    rows: dict[str, dict[str, Any]] = {}
    for cell in matrix.cells:
        name = f"{cell.condition} -> {cell.test_template}"
        row = rows.setdefault(name, {"cell": name, "rates": {}, "counts": {}})
        row["rates"][f"{cell.suite}: {cell.metric}"] = cell.value
        if cell.scorer in _WITH_BEHAVIOUR:
            said = cell.counts["incoherent"] + cell.counts["empty"]
            row["rates"][f"{cell.suite}: incoherent"] = said / cell.n
        row["counts"][f"{cell.suite}: {cell.scorer}"] = {"n": cell.n, **_known(cell.counts)}
    yield from rows.values()


def _known(counts: Mapping[str, int]) -> dict[str, int]:
    names: Iterable[str] = ("refused", "incoherent", "empty", "truncated")
    return {name: counts[name] for name in names}
