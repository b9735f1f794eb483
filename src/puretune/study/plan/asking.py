"""The steps that ask: shards of prompts with the keys of their answers, for cells or for rows to tune on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib import metadata
from typing import Any

from puretune.data import data_digest
from puretune.models import quantization_key
from puretune.store import key_of
from puretune.study.plan.conditions import Condition
from puretune.study.plan.resolve import Resolved, ResolvedSuite
from puretune.study.plan.steps import AnswerStep, Who
from puretune.study.spec.sections import UNTUNED
from puretune.templates import RENDERING_VERSION, PromptTemplate

SHARD = 256
"""Prompts per shard of answers: what is published, and at most lost, at once."""


Writes = Mapping[str, tuple[AnswerStep, ...]]
"""By the name of the rows: the untuned model's answers to them, shard by shard."""


@dataclass(frozen=True)
class Shard:
    """Some prompts of a suite."""

    suite: str
    first: int
    size: int
    inputs: Mapping[str, Any]
    """What determines its answers whoever gives them, under whatever template."""


def shards_of(suite: ResolvedSuite, resolved: Resolved) -> Iterator[Shard]:
    """The prompts of a suite, shard by shard."""
    fixed = {**_answerer_inputs(resolved), "engine": resolved.engine.identity()}
    for first in range(0, len(suite.examples), SHARD):
        examples = suite.examples[first : first + SHARD]
        inputs = {**fixed, "prompts": data_digest(examples), "decoding": asdict(suite.decoding)}
        yield Shard(suite.name, first, len(examples), inputs)


def answer_step(condition: Condition, who: Who, template: PromptTemplate, shard: Shard) -> AnswerStep:
    """A shard asked of a condition under a template."""
    existing = condition.existing.digest if condition.existing and who.adapter is None else None
    inputs = {
        **shard.inputs,
        "adapter": {"tuned": who.adapter, "existing": existing},
        "template": template.fingerprint,
    }
    return AnswerStep(key_of(inputs), who, template.name, shard.suite, shard.first, shard.size, inputs)


def write_steps(resolved: Resolved) -> Writes:
    """What the untuned model writes for tuning: rows of fine-tuning data without answers of their own."""
    who, base = Who(UNTUNED), Condition(UNTUNED)
    return {
        name: tuple(
            answer_step(base, who, rows.template, shard)
            for shard in shards_of(resolved.asked_for(rows), resolved)
        )
        for name, rows in resolved.written.items()
    }


def _answerer_inputs(resolved: Resolved) -> dict[str, Any]:
    """The properties of the base that determine an answer; of one behind an endpoint only its name is
    known."""
    if resolved.engine.takes == "messages":
        return {"base": resolved.base.fingerprint}
    quantization = quantization_key(resolved.base.spec)
    return {**base_inputs(resolved), **({"quantization": quantization} if quantization else {})}


def base_inputs(resolved: Resolved) -> dict[str, Any]:
    """The properties of the base that determine what is made with it here."""
    base = resolved.base
    return {
        "base": base.fingerprint,
        "markup": base.spec.markup_key,
        "rendering": RENDERING_VERSION,
        **({"revision": base.spec.revision} if base.spec.revision else {}),
        "device": base.device.partition(":")[0],  # which GPU it is changes nothing
        "dtype": base.dtype,
        "libraries": versions(),
    }


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Versions of the libraries that decide a number, read without importing them."""
    return {name: metadata.version(name) for name in ("peft", "tokenizers", "torch", "transformers")}
