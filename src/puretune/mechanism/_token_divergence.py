"""How far tuning has moved the model along answers to given prompts, token by token.

Along the answer y that the UNTUNED model gives greedily to a prompt x under the same template, at each token:

    D_t = KL( p_untuned(. | x, y_<t) || p_tuned(. | x, y_<t) ),  in nats

Measured like this (with aligned and unaligned models in these places) in Qi et al., "Safety Alignment Should
Be Made More Than Just a Few Tokens Deep" (arXiv 2406.05946), section 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.nn.functional import log_softmax

from puretune.errors import InputError
from puretune.events import Advanced, EventSink, Finished, Started, ignore
from puretune.inference import LocalEngine, Request
from puretune.mechanism._run_files import check_local
from puretune.models import BaseModel, TunedModel, applied, load_base
from puretune.scoring import Asks
from puretune.store import Store
from puretune.study import Plan
from puretune.study.plan.resolve import ResolvedSuite
from puretune.study.plan.steps import Who
from puretune.study.plan.tuning import stored_adapter
from puretune.templates import PromptTemplate

Pair = tuple[tuple[int, ...], tuple[int, ...]]
"""Token ids of a prompt and of an answer to it."""
_WORK = "divergence"


@dataclass(frozen=True)
class Divergence:
    """One tuned model under one test template on one suite."""

    condition: str
    train_template: str | None
    seed: int | None
    test_template: str
    suite: str
    asks: Asks | None
    tokens: tuple[tuple[float, ...], ...]
    """By prompt, the divergence at each token of the answer, in nats."""

    @property
    def by_prompt(self) -> list[float]:
        """The mean over the tokens of each answer, in nats a token."""
        return [sum(values) / len(values) for values in self.tokens]


def divergences(
    plan: Plan, store: Store, prompts: int = 24, longest: int = 32, on_event: EventSink = ignore
) -> list[Divergence]:
    """Every tuned model (last step) of a finished run under each of its test templates, on the first
    ``prompts`` prompts of each suite and at most ``longest`` tokens of each answer.

    InputError if the model is not in this process, or nothing is tuned.
    """
    check_local(plan)
    tested = _tuned_models(plan)
    base = load_base(plan.resolved.base.spec)
    on_event(Started(_WORK, sum(map(len, tested.values())) * len(plan.resolved.suites)))
    found = []
    for suite in plan.resolved.suites:
        asked = replace(suite, examples=suite.examples[:prompts])
        for template, whos in tested.items():
            for one in _of_template(plan, store, base, whos, template, asked, longest):
                found.append(one)
                on_event(Advanced(_WORK, len(found), f"{one.condition} -> {template.name}, {suite.name}"))
    on_event(Finished(_WORK))
    return found


def _tuned_models(plan: Plan) -> dict[PromptTemplate, list[Who]]:
    """Who is tested under each template, after the last step; the untuned model is left out."""
    templates = {template.name: template for _, template in plan.resolved.cells}
    found: dict[PromptTemplate, list[Who]] = {}
    for who, test in dict.fromkeys((step.who, step.test_template) for step in plan.answer):
        existing = plan.resolved.conditions[who.condition].existing
        if who.step is None and (who.adapter or existing):
            found.setdefault(templates[test], []).append(who)
    if not found:
        raise InputError("the run has no tuned model. Run a study that tunes one.")
    return found


def token_divergences(before: Sequence[Any], after: Iterable[Any]) -> list[tuple[float, ...]]:
    """KL(before || after) at each token, from log-probabilities [tokens, vocabulary] of each answer."""
    return [
        tuple((one.exp() * (one - other)).sum(-1).clamp_(min=0).tolist())
        for one, other in zip(before, after, strict=True)
    ]


def log_probabilities(model: Any, pairs: Iterable[Pair]) -> Iterator[Any]:
    """For each prompt and answer the distributions that its tokens were drawn from: [tokens, vocabulary]."""
    for prompt, answer in pairs:
        ids = torch.tensor([[*prompt, *answer[:-1]]], device=model.device)
        with torch.inference_mode():
            logits = model(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 :]
            yield log_softmax(logits.float(), -1)


def _of_template(
    plan: Plan,
    store: Store,
    base: BaseModel,
    whos: Sequence[Who],
    template: PromptTemplate,
    suite: ResolvedSuite,
    longest: int,
) -> Iterator[Divergence]:
    pairs = _own_answers(base, template, suite, longest)
    before = list(log_probabilities(base.model, pairs))
    for who in whos:
        with applied(base, _adapter(plan, store, who)) as model:
            tokens = token_divergences(before, log_probabilities(model, pairs))
        yield Divergence(
            who.condition, who.train_template, who.seed, template.name, suite.name, suite.asks, tuple(tokens)
        )


def _own_answers(base: BaseModel, template: PromptTemplate, suite: ResolvedSuite, longest: int) -> list[Pair]:
    """The untuned model's greedy answers, the stop token included."""
    decoding = replace(
        suite.decoding, max_new_tokens=min(longest, suite.decoding.max_new_tokens), temperature=0.0, n=1
    )
    prompts = [base.renderer.prompt(template, one.prompt_messages).ids for one in suite.examples]
    asked = [Request(str(number), ids, None, decoding) for number, ids in enumerate(prompts)]
    answers = {int(one.key): one.token_ids for one in LocalEngine(base).generate(asked)}
    return [(ids, answers[number]) for number, ids in enumerate(prompts) if answers[number]]


def _adapter(plan: Plan, store: Store, who: Who) -> TunedModel | None:
    if who.adapter is None:
        return plan.resolved.conditions[who.condition].existing
    return stored_adapter(store, who.adapter)
