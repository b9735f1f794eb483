"""The engine of a study: what the study says, checked against what the scorers need."""

from __future__ import annotations

from collections.abc import Sequence

from puretune.errors import EnvironmentFault, InputError
from puretune.inference import EngineSpec, engine_spec
from puretune.scoring import Scorer, reads_options
from puretune.study._spec import Study


def engine_of(study: Study, dry: bool = False) -> EngineSpec:
    """The study's engine, not started. ``dry``: the library that it runs on may be missing.

    InputError, with the place in the study, for an unknown engine or option; EnvironmentFault where the
    engine cannot run here.
    """
    said = study.engine
    with study.at("engine"):
        spec = engine_spec(said) if isinstance(said, str) else engine_spec(said.name, said.options())
    if spec.lacking and not dry:
        raise EnvironmentFault(spec.lacking)
    return spec


def check_likelihoods(study: Study, engine: EngineSpec, scorers: Sequence[Sequence[Scorer]]) -> None:
    """InputError where a scorer needs log-likelihoods that the engine does not give."""
    for number, of_suite in enumerate(scorers):
        for scorer in of_suite:
            if reads_options(scorer) and not engine.scores:
                with study.at("suites", number):
                    raise InputError(
                        f"scorer {scorer.name!r} needs log-likelihoods, and engine {engine.name!r} has none. "
                        "Use the scorer `choice`, which reads the letter of a generated answer."
                    )
