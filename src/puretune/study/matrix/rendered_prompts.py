"""``prompts.jsonl``: every test prompt as the model saw it, special tokens and all, with the template's
fingerprint."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from puretune.data import data_digest
from puretune.store import Store, key_of
from puretune.study.plan.asking import versions
from puretune.study.plan.resolve import ResolvedSuite
from puretune.study.plan.shards import suites_of
from puretune.study.plan.steps import RENDERING, Plan
from puretune.templates import RENDERING_VERSION, PromptTemplate


def prompt_lines(plan: Plan, store: Store) -> Iterator[dict[str, Any]]:
    """One line per suite, test template and prompt that was asked under it."""
    suites, templates = suites_of(plan), {one.name: one for _, one in plan.resolved.cells}
    renderer = cache(plan.resolved.renderer)
    for name, template_name in dict.fromkeys((step.suite, step.test_template) for step in plan.answer):
        suite, template = suites[name], templates[template_name]
        key = _key(plan, suite, template)
        kept = store.get(RENDERING, key)
        if kept is None:
            texts = [renderer().prompt(template, one.prompt_messages).text for one in suite.examples]
            kept = store.put_json(RENDERING, key, {"texts": texts})
        for example, text in zip(suite.examples, kept.json()["texts"], strict=True):
            yield {
                "suite": name,
                "test_template": template_name,
                "test_fingerprint": template.fingerprint,
                "prompt_id": example.id,
                "category": example.cluster,
                "text": text,
            }


def _key(plan: Plan, suite: ResolvedSuite, template: PromptTemplate) -> str:
    base = plan.resolved.base
    return key_of(
        {
            "base": base.fingerprint,
            "markup": base.spec.markup_key,
            "rendering": RENDERING_VERSION,
            "libraries": versions(),
            "template": template.fingerprint,
            "use": "all prompts of a suite",
            "example": data_digest(suite.examples),
        }
    )
