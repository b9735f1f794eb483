"""The engine of a study: what the study says, checked against what the scorers need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from puretune.errors import EnvironmentFault, InputError
from puretune.inference import EngineSpec, engine_spec
from puretune.models import ServedModel, shown
from puretune.scoring import Scorer, reads_likelihoods
from puretune.study.plan.conditions import Condition
from puretune.study.spec.study import Study

_SERVE = "Serve the model and name it with `served:`, or use another engine."


def engine_of(study: Study, dry: bool = False) -> EngineSpec:
    """The study's engine, not started. ``dry``: the library that it runs on may be missing.

    InputError, with the place in the study, for an unknown engine or option; EnvironmentFault if the
    engine cannot run here.
    """
    said = study.engine
    with study.at("engine"):
        spec = engine_spec(said) if isinstance(said, str) else engine_spec(said.name, said.options())
    if spec.lacking and not dry:
        raise EnvironmentFault(spec.lacking)
    return spec


def check_conditions(study: Study, engine: EngineSpec, conditions: Iterable[Condition]) -> None:
    """InputError for a condition that the engine cannot answer as: an adapter here, or a model elsewhere."""
    for condition in conditions:
        wrong = _wrong(engine, condition)
        if wrong:
            with study.at(*condition.place):
                raise InputError(wrong)


def _wrong(engine: EngineSpec, condition: Condition) -> str:
    who, existing, training = f"engine {engine.name!r}", condition.existing, condition.training
    if training is not None and engine.remote and not training.tuner.remote:
        return f"{who} asks for models by name and cannot use what is tuned here. {_SERVE}"
    if training is not None and training.tuner.remote and not engine.remote:
        return (
            f"{who} loads models, and those that tuner {training.tuner.name!r} makes stay with their "
            "provider. Use `engine: openai`."
        )
    if existing is None or isinstance(existing, ServedModel) == engine.remote:
        return ""
    if isinstance(existing, ServedModel):
        return (
            f"{who} loads models and cannot ask for {existing.name!r}. Use `engine: openai` with the "
            "endpoint that serves it."
        )
    return f"{who} asks for models by name and cannot be given {shown(existing)}. {_SERVE}"


def check_likelihoods(study: Study, engine: EngineSpec, scorers: Sequence[Sequence[Scorer]]) -> None:
    """InputError if a scorer needs log-likelihoods that the engine does not give."""
    for number, of_suite in enumerate(scorers):
        for scorer in of_suite:
            if reads_likelihoods(scorer) and not engine.scores:
                with study.at("suites", number):
                    raise InputError(
                        f"scorer {scorer.name!r} needs log-likelihoods, and engine {engine.name!r} has none. "
                        "Use a scorer of generated answers: `choice`, `contains`, `token_f1`."
                    )
