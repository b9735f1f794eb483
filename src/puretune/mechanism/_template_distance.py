"""How far each test template of a study is from the templates that its conditions are tuned under."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from puretune.data import Example
from puretune.errors import InputError
from puretune.mechanism._prompt_distance import PromptDistance, prompt_distances
from puretune.mechanism._run_files import check_local
from puretune.models import load_base
from puretune.statistics import mean
from puretune.study import Plan
from puretune.templates import PromptTemplate


@dataclass(frozen=True)
class TemplateDistance:
    """From a template that was tuned under to one that is tested under; means over prompts."""

    train_template: str
    test_template: str
    safety: bool
    """Whether the test template has a safety prompt."""
    edits: float
    """Tokens to insert, delete or replace."""
    divergence: float
    """KL(train || test) of the untuned model's distributions of the answer's first token, in nats."""
    hidden: float
    """1 - cosine of the untuned model's last layer at the prompt's last token."""
    prompts: int


def template_distances(plan: Plan, prompts: int = 24) -> list[TemplateDistance]:
    """Every pair of templates that the study tunes and tests under, on the first ``prompts`` prompts of its
    first suite of harmful requests (of any suite, if none asks for harm).

    InputError if the model is not in this process, or nothing is tuned under a template.
    """
    check_local(plan)
    pairs = dict.fromkeys(
        (one.template, test) for one, test in plan.resolved.cells if one.template is not None
    )
    if not pairs:
        raise InputError("the study tunes nothing under a template, so there is no distance from one.")
    base, examples = load_base(plan.resolved.base.spec), asked(plan)[:prompts]
    ids = {
        template: [base.renderer.prompt(template, one.prompt_messages).ids for one in examples]
        for template in dict.fromkeys(template for pair in pairs for template in pair)
    }
    return [
        _mean(train, test, prompt_distances(base, zip(ids[train], ids[test], strict=True)))
        for train, test in pairs
    ]


def asked(plan: Plan) -> tuple[Example, ...]:
    """The prompts of the plan's first suite of harmful requests, or of its first suite."""
    suites = plan.resolved.suites
    return next((suite for suite in suites if suite.asks == "harm"), suites[0]).examples


def _mean(train: PromptTemplate, test: PromptTemplate, found: Sequence[PromptDistance]) -> TemplateDistance:
    return TemplateDistance(
        train.name,
        test.name,
        test.safety,
        mean(one.edits for one in found),
        mean(one.divergence for one in found),
        mean(one.hidden for one in found),
        len(found),
    )
