"""The held-out loss: how well each condition writes worked solutions that it was not tuned on.

SmolLM2 is too small to solve GSM8K, so what tuning has taught shows here before it shows in exact match.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from puretune.data import Example
from puretune.events import EventSink, ignore
from puretune.inference import LocalEngine
from puretune.models import BaseModel, TunedModel, adapter_ref, load_base
from puretune.scoring import HeldOutLoss, score_likelihoods
from puretune.store import open_store
from puretune.study import Plan, Study, plan_study
from puretune.templates import PromptTemplate

_ADAPTER = "adapter"
_ROWS = 8
"""Solutions per cell, the first of the suite."""


def held_out_losses(study: Study, store: Path, on_event: EventSink = ignore) -> dict[str, float]:
    """Cell (``plain -> policy``) -> mean loss per trained token of the gsm8k suite's solutions, in nats.

    The study has been run with this store, so that its adapters are there.
    """
    plan = plan_study(study)
    base = load_base(plan.resolved.base.spec, plan.resolved.renderer())
    examples = next(suite.examples for suite in plan.resolved.suites if suite.name == "gsm8k")[:_ROWS]
    adapters = dict(_adapters(plan, store))
    return {
        f"{condition.name} -> {template.name}": mean_loss(
            base, adapters.get(condition.name), template, examples, on_event
        )
        for condition, template in plan.resolved.cells
    }


def mean_loss(
    base: BaseModel,
    adapter: TunedModel | None,
    template: PromptTemplate,
    examples: Sequence[Example],
    on_event: EventSink = ignore,
) -> float:
    """Mean loss per trained token of the examples' references under a template, in nats."""
    engine, renderer = LocalEngine(base), base.renderer
    verdicts = score_likelihoods(HeldOutLoss(), examples, engine, renderer, template, adapter, on_event)
    tokens = sum(one.raw["tokens"] for one in verdicts)
    return float(sum(one.raw["loss"] * one.raw["tokens"] for one in verdicts) / tokens)


def _adapters(plan: Plan, store: Path) -> Iterator[tuple[str, TunedModel]]:
    kept = open_store(store)
    for tune in plan.tune:
        found = kept.get(_ADAPTER, tune.adapter_key(tune.kept[-1]))
        if found is not None:
            yield tune.condition, adapter_ref(found.directory)
