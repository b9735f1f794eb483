"""From a step of the plan to what a tuner is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from puretune.errors import EnvironmentFault
from puretune.models import TunedModel, adapter_ref
from puretune.store import Store
from puretune.study.plan.mix import Answers, Written, not_yet, rows_under
from puretune.study.plan.resolve import Resolved
from puretune.study.plan.shards import lines_of
from puretune.study.plan.steps import ADAPTER, ANSWERS, Plan, TuneStep
from puretune.tuning import TuningTask


def to_tune(
    resolved: Resolved,
    tune: TuneStep,
    scratch: Path = Path(),
    start: TunedModel | None = None,
    answers: Answers = not_yet,
) -> TuningTask:
    """The rows, recipe and seed of a step; ``start`` is the adapter that another step of the plan made,
    ``answers`` what the untuned model has written.

    What is kept on the way is the step's to say: conditions that tune alike share it.
    """
    training = resolved.tuned[tune.condition]
    existing = training.start if isinstance(training.start, TunedModel) else None
    return TuningTask(
        name=f"{tune.condition} seed {tune.seed}",
        rows=rows_under(training.mix, training.template, answers),
        recipe=replace(training.recipe, keep=tune.kept[:-1], keep_every=None),
        seed=tune.seed,
        out=place_of(tune, scratch),
        start=start or existing,
    )


def place_of(tune: TuneStep, scratch: Path) -> Path:
    """Where a step keeps its adapters and resume points until they are published."""
    return scratch / tune.key[:16]


def start_of(tune: TuneStep, store: Store) -> TunedModel | None:
    """The stored adapter that a step starts from."""
    if tune.start is None:
        return None
    return stored_adapter(store, tune.start)


def written_in(store: Store | None, plan: Plan) -> Answers:
    """What the store has of the answers that the untuned model writes; a stand-in where it has not all."""

    def of(rows: Written) -> Mapping[str, str]:
        keys = [step.key for step in plan.write if step.suite == rows.name]
        if store is None or not all(store.has(ANSWERS, key) for key in keys):
            return not_yet(rows)
        return {row["prompt_id"]: row["text"] for key in keys for row in lines_of(ANSWERS, key, store)}

    return of


def stored_adapter(store: Store, key: str) -> TunedModel:
    """The adapter of that key; EnvironmentFault if the store has lost it."""
    kept = store.get(ADAPTER, key)
    if kept is None:
        raise EnvironmentFault(f"{store.path(ADAPTER, key)} is missing. Run the same command again.")
    return adapter_ref(kept.directory)
