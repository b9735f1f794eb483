"""A study that compares strategies: of the user's own model and rows, or changed from one that exists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from puretune.data import SourceSpec, draw_source
from puretune.errors import EnvironmentFault, InputError
from puretune.start._draft import Draft, own_suites
from puretune.study import STRATEGIES, Study
from puretune.study.spec.sections import SuiteSection

SMOKE_PROMPTS = 40
"""Prompts of each suite in a smoke run."""
_KEPT = 4
"""Parts of the training after each of which an adapter is kept."""
_TEMPLATES = {"plain": "plain", "safe": "safe"}
"""What a draft calls its templates."""
_NO_HARM = (
    "no suite asks for harm, so strategies cannot be compared in safety. Give your own harmful requests with "
    "--harmful FILE (a column `prompt`), or name suites in a study file (`puretune init`, then `suites:`; "
    "directharm4, advbench and gsm-danger are read from the hub or from `path:`)."
)


@dataclass(frozen=True)
class StrategiesStudy:
    """The study, and the strategies that it leaves out with the reason."""

    study: Study
    left_out: dict[str, str]


def strategies_study(found: Draft, name: str, chosen: Sequence[str] = ()) -> StrategiesStudy:
    """Strategies on the user's model and rows; ``chosen``: only these; none: all that need no more options.

    InputError if there are no harmful requests or too few rows to hold some out, and for a chosen strategy
    that needs options.
    """
    if found.harmful is None and not own_suites(found.model.spec.model):
        raise InputError(_NO_HARM)
    if not found.data.hold_out:
        raise InputError("too few rows to hold some out, so helpfulness cannot be measured. Give more rows.")
    fields: dict[str, Any] = yaml.safe_load(found.text(Path.cwd() / "study.yaml", name))
    recipe = fields["tuning"]["recipe"]
    recipe["keep_every"] = max(_steps(found, recipe) // _KEPT, 1)
    fields |= {"train": [], "test": [], "strategies": ["untuned"]}
    base = Study(**fields)
    left_out = {} if chosen else {one: why for one in STRATEGIES.names() if (why := _missing(one, base))}
    names = chosen or [one for one in STRATEGIES.names() if one not in left_out]
    fields["strategies"] = [{"name": one, **_TEMPLATES} for one in names]
    if set(names) - {"untuned"}:
        fields["controls"] = {"kinds": ["neutral"], "of": _TEMPLATES["safe"]}
    return StrategiesStudy(Study(**fields), left_out)


def only(study: Study, chosen: Sequence[str]) -> Study:
    """The study with these of its strategies; another one's options are its defaults."""
    there = {one if isinstance(one, str) else one.name: one for one in study.strategies}
    for name in chosen:
        STRATEGIES.load(name)  # InputError with the nearest
    return _changed(study, strategies=tuple(there.get(name, name) for name in chosen))


def smaller(study: Study) -> Study:
    """The study as a smoke run: one seed, few prompts, no controls, no tests of leakage."""
    tuning = study.tuning
    return _changed(
        study,
        name=f"{study.name}-smoke",
        suites=tuple(map(_limited, study.suites)),
        tuning=tuning and tuning.model_copy(update={"seeds": tuning.seeds[:1]}),
        controls=None,
        test_leakage=False,
    )


def at_helpfulness(study: Study, level: float) -> Study:
    """The study with its strategies ranked at that helpfulness."""
    return _changed(study, analysis=study.analysis.model_copy(update={"helpfulness": level}))


def _changed(study: Study, **changes: Any) -> Study:
    changed = study.model_copy(update=changes)
    changed._origin = study._origin
    return changed


def _limited(suite: str | SuiteSection) -> SuiteSection:
    if isinstance(suite, str):
        return SuiteSection(name=suite, limit=SMOKE_PROMPTS)
    return replace(suite, limit=min(suite.limit or SMOKE_PROMPTS, SMOKE_PROMPTS))


def _steps(found: Draft, recipe: dict[str, Any]) -> int:
    """Optimiser steps of the training, about."""
    rows = len(found.data.examples) * (1 - found.data.hold_out)
    batch = recipe.get("batch_size", 4) * recipe.get("accumulation", 1)
    return int(recipe.get("steps") or rows * recipe.get("epochs", 1) / batch)


def _missing(name: str, study: Study) -> str:
    """What a strategy needs that is not here; "": nothing."""
    try:
        strategy = STRATEGIES.options(name, _TEMPLATES)
        strategy.expand(study)
        source = getattr(strategy, "source", "")
        if source:
            draw_source(SourceSpec(source))
    except (InputError, EnvironmentFault) as error:
        return str(error).splitlines()[0]
    return ""
