"""What one process works with; models and engine are loaded when they are first needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from puretune.endpoints import Consent
from puretune.events import EventSink, Warned
from puretune.inference import Engine, mend_journals
from puretune.models import LazyBase, TunedModel
from puretune.store import Store
from puretune.study.plan.prompts import Prompts
from puretune.study.plan.resolve import ResolvedSuite
from puretune.study.plan.shards import suites_of
from puretune.study.plan.steps import Plan, Who
from puretune.study.plan.tuning import stored_adapter

_REPLIES = "replies-{}.jsonl"
"""In the scratch directory, by the plan's key: what an endpoint has answered in the run under way."""

_MODEL = {"write": "answer", "transform": "tune", "likelihoods": "answer", "sampled_score": "score"}
"""Kinds of work that use the models of another kind."""


@dataclass
class Worker:
    """Plan, store and models of one process."""

    plan: Plan
    store: Store
    scratch: Path
    """For resume points of unfinished tuning, and what an endpoint has answered."""
    on_event: EventSink
    consent: Consent
    _last: str = "tune"
    """The kind of work whose models are loaded, if any are."""

    @cached_property
    def base(self) -> LazyBase:
        """The model that answers."""
        return LazyBase(self.plan.resolved.base.spec, self.on_event)

    @cached_property
    def tunable(self) -> LazyBase:
        """The model that is tuned: the same where it is not quantized."""
        if self.base.spec.quantization is None:
            return self.base
        return LazyBase(replace(self.base.spec, quantization=None), self.on_event)

    @cached_property
    def prompts(self) -> Prompts:
        """Every prompt under every test template."""
        return Prompts(self.plan, lambda: self.base.renderer)

    @cached_property
    def engine(self) -> Engine:
        """The engine that answers, started."""
        mend_journals(self.scratch, lambda text: self.on_event(Warned(text)))
        return self.plan.resolved.engine.open(self.base, replies_of(self.plan, self.scratch))

    @cached_property
    def suites(self) -> Mapping[str, ResolvedSuite]:
        """The suites by name."""
        return suites_of(self.plan)

    def adapter(self, who: Who) -> TunedModel | None:
        """Who answers, as the engine takes it: a tuned or an existing adapter; None: the base alone."""
        if who.adapter is None:
            condition = self.plan.resolved.conditions.get(who.condition)
            return condition.existing if condition else None
        return stored_adapter(self.store, who.adapter)

    def make_room(self, work: str) -> None:
        """Where a kind of work uses other models than the one before, let go of these: judges, an engine
        with its own model, and tuning have the memory for themselves."""
        last, self._last = self._last, _MODEL.get(work, work)
        one_model = self.tunable is self.base and self.plan.resolved.engine.uses_base
        if last != self._last and not (one_model and "score" not in (last, self._last)):
            self.close()

    def close(self) -> None:
        """Let go of the engine and the models."""
        if "engine" in self.__dict__:
            self.__dict__.pop("engine").close()
        self.base.release()
        self.tunable.release()


def replies_of(plan: Plan, scratch: Path) -> Path:
    """Where what an endpoint answers in this run is kept."""
    return scratch / _REPLIES.format(plan.key[:16])
