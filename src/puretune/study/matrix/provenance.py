"""Where a matrix comes from: everything a reader needs to judge its numbers, or to make them again."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from puretune.data import Example, data_digest
from puretune.errors import InputError
from puretune.models import TunedModel, resolved_threads
from puretune.store import Store, Stored, key_of
from puretune.study.plan.asking import versions
from puretune.study.plan.conditions import Training
from puretune.study.plan.mix import Part, answered
from puretune.study.plan.resolve import Resolved
from puretune.study.plan.steps import ADAPTER, ANSWERS, RENDERING, Plan
from puretune.templates import RENDERING_VERSION, PromptTemplate, Renderer, Rendering

MOST_LABELS = 10
"""A source with more labels than this has something else in them."""


def provenance(plan: Plan, store: Store, out: Path) -> dict[str, Any]:
    """Facts by section; wall-clock seconds are here and nowhere else."""
    resolved = plan.resolved
    leaks = resolved.leakage
    study, adapters = resolved.study, _kept_adapters(plan, store)
    return {
        "command": ["puretune", "run", str(out / "study.yaml"), "--out", str(out)],
        "note": study.note,
        "plan": plan.key,
        "seeds": list(resolved.seeds),
        "model": _model(resolved),
        "engine": resolved.engine.identity(),
        "data": _data(resolved),
        **_tuning(resolved),
        **_transforms(resolved),
        "decoding": {suite.name: asdict(suite.decoding) for suite in resolved.suites},
        "scorers": {s.name: {scorer.name: scorer.version for scorer in s.scorers} for s in resolved.suites},
        "versions": {
            "puretune": metadata.version("puretune"),
            "python": platform.python_version(),
            **versions(),
        },
        "templates": _templates(resolved, store),
        "adapters": [_adapter(one, out) for one in adapters],
        "tokens": _tokens(plan, adapters),
        "seconds": _seconds(plan, store, adapters),
        "unchecked": list(resolved.unchecked),
        **({"leakage": {name: str(one) for name, one in leaks.items()}} if leaks else {}),
    }


def trained_templates(resolved: Resolved) -> dict[str, PromptTemplate]:
    """Every template that some row is trained under, by name."""
    return {
        template.name: template
        for training in resolved.tuned.values()
        for template in (part.template or training.template for part in training.mix)
    }


def _model(resolved: Resolved) -> dict[str, Any]:
    base = resolved.base
    facts = {"device": base.device, "dtype": base.dtype, "fingerprint": base.fingerprint}
    return {**asdict(base.spec), **facts, "threads": _threads(resolved)}


def _threads(resolved: Resolved) -> int | None:
    """CPU threads of the model; None on a GPU and where an endpoint has it."""
    base = resolved.base
    if base.directory is None or base.device != "cpu":
        return None
    try:
        return resolved_threads(base.spec, base.directory)
    except InputError:  # all was computed before, and its weights are not here any more
        return base.spec.threads


def _data(resolved: Resolved) -> dict[str, Any]:
    return {s.name: _suite_data(s.examples) for s in resolved.suites}


def _tuning(resolved: Resolved) -> dict[str, Any]:
    """How each condition was tuned: what all have in common once, what differs under its name."""
    each = {name: _training(training) for name, training in resolved.tuned.items()}
    if not each:
        return {}
    first = next(iter(each.values()))
    common = {key: value for key, value in first.items() if all(e[key] == value for e in each.values())}
    own = {name: {k: v for k, v in one.items() if k not in common} for name, one in each.items()}
    return {**common, "conditions": {name: one for name, one in own.items() if one}}


def _transforms(resolved: Resolved) -> dict[str, Any]:
    """What was done to adapters afterwards, by condition; nothing if nothing was."""
    each = {
        one.name: [
            {**transform.identity(), **({"with": list(transform.others)} if transform.others else {})}
            for transform in one.transforms
        ]
        for one in resolved.conditions.values()
        if one.transforms
    }
    return {"transforms": each} if each else {}


def _training(training: Training) -> dict[str, Any]:
    start = training.start
    return {
        "tuning_data": [_part(part) for part in training.mix],
        "recipe": training.recipe.said(),
        "tuner": training.tuner.identity(),
        "start": start.digest if isinstance(start, TunedModel) else start,
    }


def _part(part: Part) -> dict[str, Any]:
    return {
        "rows": len(part.examples),
        "digest": data_digest(part.examples),
        **({"loss": part.loss.said()} if part.loss else {}),
        **({"answers_under": part.written.template.name} if part.written else {}),
    }


def _suite_data(examples: Sequence[Example]) -> dict[str, Any]:
    """``labels``, where the source has them, tell XSTest's safe prompts from its harmful ones."""
    labels = sorted({str(e.metadata["label"]) for e in examples if "label" in e.metadata})
    facts = {"prompts": len(examples), "digest": data_digest(examples)}
    return {**facts, "labels": labels} if labels and len(labels) <= MOST_LABELS else facts


def _templates(resolved: Resolved, store: Store) -> dict[str, Any]:
    """Of every template its fingerprint, its words, and one readable rendering for each use of it."""
    trained = trained_templates(resolved)
    tested = {template.name: template for _, template in resolved.cells}
    render = _Renderings(resolved, store)
    records = {}
    for name, template in {**trained, **tested}.items():
        example = render.example(template) if name in trained else None
        prompt = render.prompt(template) if name in tested else None
        records[name] = {
            "fingerprint": template.fingerprint,
            "mode": template.mode,
            "system": template.system,
            "safety": template.safety,
            "user": template.user,
            "rendering": (prompt or example or {}).get("text"),
            "training_rendering": (example or {}).get("text"),
            **_noted(prompt, example),
        }
    return records


def _noted(*renderings: Mapping[str, Any] | None) -> dict[str, list[str]]:
    """What came out differently from what went in: nothing, or the renderings' notes."""
    notes = [note for rendering in renderings if rendering for note in rendering["notes"]]
    return {"notes": list(dict.fromkeys(notes))} if notes else {}


class _Renderings:
    """Readable renderings, kept in the store; the tokenizer is loaded only for those that are not there."""

    def __init__(self, resolved: Resolved, store: Store) -> None:
        self._resolved = resolved
        self._store = store
        self._renderer = cache(resolved.renderer)

    def prompt(self, template: PromptTemplate) -> dict[str, Any]:
        """The first test prompt under a template: its ``text`` and ``notes``."""
        example = self._resolved.suites[0].examples[0]
        return self._kept(
            template, "prompt", [example], lambda r: r.prompt(template, example.prompt_messages)
        )

    def example(self, template: PromptTemplate) -> dict[str, Any]:
        """The first training row under a template: its ``text`` and ``notes``."""
        example = next(
            answered(part)[0]
            for training in self._resolved.tuned.values()
            for part in training.mix
            if (part.template or training.template).name == template.name
        )
        return self._kept(template, "example", [example], lambda r: r.example(template, example.messages))

    def _kept(
        self,
        template: PromptTemplate,
        use: str,
        examples: Iterable[Any],
        make: Callable[[Renderer], Rendering],
    ) -> dict[str, Any]:
        base = self._resolved.base
        inputs = {
            "base": base.fingerprint,
            "markup": base.spec.markup_key,
            "rendering": RENDERING_VERSION,
            "libraries": versions(),
            "template": template.fingerprint,
            "use": use,
            "example": data_digest(examples),
        }
        key = key_of({**inputs, "kept": ["text", "notes"]})
        kept = self._store.get(RENDERING, key)
        if kept is None:
            made = make(self._renderer())
            kept = self._store.put_json(RENDERING, key, {"text": made.text, "notes": list(made.notes)})
        return dict(kept.json())


def _kept_adapters(plan: Plan, store: Store) -> list[Stored]:
    """The adapters of the plan that the store has, each once."""
    return [kept for key in plan.adapters if (kept := store.get(ADAPTER, key)) is not None]


def _adapter(kept: Stored, out: Path) -> dict[str, Any]:
    """Where a tuned adapter lies; users load it from there with PEFT."""
    inside = kept.directory.is_relative_to(out)
    path = kept.directory.relative_to(out) if inside else kept.directory
    facts = {name: kept.about[name] for name in ("condition", "seed", "step", "digest")}
    return {**facts, "path": str(path)}


def _last(plan: Plan, adapters: Iterable[Stored]) -> list[Stored]:
    """The adapters that end their training; the others were kept on the way."""
    keys = {tune.adapter_key(tune.kept[-1]) for tune in plan.tune}
    return [kept for kept in adapters if kept.key in keys]


def _tokens(plan: Plan, adapters: Iterable[Stored]) -> dict[str, int]:
    """Over all adapters: tokens seen in tuning, of these trained on, and seen without shared prefixes."""
    total: Counter[str] = Counter()
    for kept in _last(plan, adapters):
        total.update(kept.about["tokens"])
    return dict(total)


def _seconds(plan: Plan, store: Store, adapters: Iterable[Stored]) -> dict[str, float]:
    """What the plan's steps took when they were computed."""
    shards = (store.get(ANSWERS, key) for key in dict.fromkeys(step.key for step in plan.answer))
    took = {"tuning": _last(plan, adapters), "answering": [kept for kept in shards if kept is not None]}
    return {name: round(sum(kept.about["seconds"] for kept in steps), 1) for name, steps in took.items()}
