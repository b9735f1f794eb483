"""What a model's files say, as far as a study depends on it: its chat template is tried, not guessed at."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

from puretune.data import Example
from puretune.errors import InputError
from puretune.models import (
    UNLIMITED,
    ModelShape,
    ModelSpec,
    context_length,
    model_shape,
    parameters_per_token,
    renderer_for,
    resolve_model_path,
)
from puretune.templates import BUILTIN_TEMPLATES, Message, PromptTemplate, Renderer
from puretune.visible import one_line

TRIED = 100
"""Rows that the chat template is tried on."""
_TEXT = "### Instruction:\n%s\n\n### Response:\n"
_CLOCK = "strftime_now"
_FAMILIES = {"[INST]": "mistral", "<start_of_turn>": "gemma", "<|im_start|>": "chatml"}
"""What a chat template spells, and the explicit markup that takes a system prompt where it does not."""
_HELLO = "Hello."
SAFETY = str(BUILTIN_TEMPLATES["chat:llama"].system)
"""Llama 2's safety prompt, as in the paper."""


@dataclass(frozen=True)
class ModelFacts:
    """A model, and how its chats are to be spelled; ``reasons`` say why, setting by setting."""

    spec: ModelSpec
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Of the chat template."""
    reasons: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def directory(self) -> Path:
        """Its files; weights may be missing."""
        return resolve_model_path(self.spec, weights=False)

    @cached_property
    def renderer(self) -> Renderer:
        return renderer_for(self.spec)

    @cached_property
    def parameters(self) -> int:
        """The parameters that a token is multiplied with."""
        return parameters_per_token(self.spec)

    @cached_property
    def shape(self) -> ModelShape:
        return model_shape(self.spec)

    @cached_property
    def context(self) -> int | None:
        """Tokens; None: the model states none."""
        found = context_length(self.directory)
        return None if found >= UNLIMITED else found

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """The layers that get an adapter: the queries' and values', as in the paper, or what has them."""
        names = self.shape.linear
        if {"q_proj", "v_proj"} <= set(names):
            return "q_proj", "v_proj"
        joint = next((one for one in ("qkv_proj", "query_key_value", "c_attn", "Wqkv") if one in names), None)
        return (joint,) if joint else ("all-linear",)

    def template(self, system: str | None = None) -> PromptTemplate:
        """The bare template, or the one with a safety prompt."""
        chat = self.renderer.markup is not None
        return PromptTemplate(
            "safe" if system else "plain",
            mode="chat" if chat else "text",
            user="%s" if chat else _TEXT,
            system=system,
            own_system="keep",
            arguments=tuple(sorted(self.arguments.items())),
            safety=bool(system),
        )

    @property
    def facts(self) -> list[str]:
        """What it is, in words: size, context, BOS, stop tokens."""
        tokenizer = self.renderer.tokenizer
        stops = tokenizer.convert_ids_to_tokens(sorted(self.renderer.stop_ids))
        bos = f"BOS {tokenizer.bos_token}" if self.renderer.writes_bos else "no BOS"
        context = f"context of {self.context:,} tokens" if self.context else "no stated context"
        return [
            f"{self.parameters / 1e6:,.1f} million parameters, {context}",
            f"{bos}; answers end with {', '.join(map(str, stops))}",
        ]


def model_facts(spec: ModelSpec, examples: Sequence[Example]) -> ModelFacts:
    """The model with every setting that its chat template and these rows need.

    InputError where no setting helps.
    """
    facts = ModelFacts(spec)
    for _ in range(6):
        problem = _problem(facts, examples)
        if problem is None:
            return facts
        facts = _settled(facts, problem)
    raise InputError(f"{one_line(spec.model)}: no setting makes its chat template fit: {problem}")


def _problem(facts: ModelFacts, examples: Sequence[Example]) -> InputError | None:
    """What keeps a question, one under a safety prompt, or a row from being rendered."""
    hello = [Message("user", _HELLO)]
    plain, safe = facts.template(), facts.template(SAFETY)
    try:
        for template in (plain, safe):
            facts.renderer.prompt(template, hello)
            for example in examples[:TRIED]:
                facts.renderer.example(template, example.messages)
    except InputError as error:
        return error
    return None


def _settled(facts: ModelFacts, problem: InputError) -> ModelFacts:
    """The model with one more setting, which answers a problem; the problem, where none does."""
    text, spec = str(problem), facts.spec
    source = str(getattr(facts.renderer.tokenizer, "chat_template", "") or "")
    family = next((name for mark, name in _FAMILIES.items() if mark in source), None)
    if _CLOCK in text and _CLOCK not in facts.arguments:
        day = date.today().isoformat()
        why = "its chat template writes today's date; pinned, so that tomorrow's prompts are the same"
        return _with(facts, _CLOCK, why, arguments={**facts.arguments, _CLOCK: day})
    if "thoughts" in text and spec.thoughts == "refuse":
        why = "rows or chat template have thinking blocks; answers are tuned and served without them"
        return _with(facts, "thoughts", why, spec=replace(spec, thoughts="strip"))
    if "default_system: keep" in text and spec.default_system == "forbid":
        kept = _with(facts, "default_system", "", spec=replace(spec, default_system="keep"))
        why = f"its chat template writes this by itself before a chat: {_unasked(kept)}"
        return replace(kept, reasons={**kept.reasons, "default_system": why})
    if family and spec.markup == "auto" and re.search("system|rejects the turns|drops|rewrites", text):
        why = "its own chat template does not take the turns of a safety prompt or of these rows"
        return _with(facts, "markup", why, spec=replace(spec, markup=family))
    raise problem


def _with(facts: ModelFacts, setting: str, why: str, **changes: Any) -> ModelFacts:
    """Facts anew: what was read under other settings is not kept."""
    fields = {"spec": facts.spec, "arguments": facts.arguments, **changes}
    return ModelFacts(**fields, reasons={**facts.reasons, setting: why})


def _unasked(facts: ModelFacts) -> str:
    """What a chat template writes before a first question."""
    try:
        text = facts.renderer.prompt(facts.template(), [Message("user", _HELLO)]).text
    except InputError:
        return "text of its own"
    return f'"{one_line(text.partition(_HELLO)[0], 200)}"'
