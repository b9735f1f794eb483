"""A base model that stays with its provider: it has a name, and neither weights nor a tokenizer here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from puretune.errors import InputError
from puretune.models._types import ModelSpec
from puretune.templates import Message, PromptTemplate, Renderer, Rendering, api_turns

_PER_MESSAGE = 4


def estimate_tokens(text: str) -> int:
    """About how many tokens a provider makes of a text: 1 per 4 ASCII characters, 1.5 per other."""
    plain = len(text.encode("ascii", "ignore"))
    return math.ceil(plain / 4 + (len(text) - plain) * 1.5)


@dataclass(frozen=True)
class RemoteBase:
    """A base model as far as it is known here."""

    spec: ModelSpec
    device_type = "endpoint"
    dtype_name = "endpoint"
    threads: int | None = None

    @property
    def renderer(self) -> Renderer:
        return MessagesRenderer()

    @property
    def fingerprint(self) -> str:
        """Its name: the weights cannot be seen from here."""
        return f"served: {self.spec.model}"


class MessagesRenderer(Renderer):
    """The renderer where the provider renders. Texts are readable; ids are zeros, as many as tokens are
    estimated: good for counting and for nothing else."""

    def __init__(self) -> None:
        self.tokenizer = None
        self.markup = None

    @cached_property
    def stop_ids(self) -> frozenset[int]:
        """None are known."""
        return frozenset()

    @cached_property
    def fingerprint(self) -> str:
        """Of what is sent, not of what the provider makes of it."""
        return "messages"

    def prompt(self, template: PromptTemplate, messages: Sequence[Message]) -> Rendering:
        """What the model is asked. InputError for a template that a chat API cannot be given."""
        if not messages or messages[-1].role != "user":
            raise InputError("a prompt must end with a user message; leave the reference answer out.")
        return _counted(api_turns(template, messages), trained=False)

    def example(self, template: PromptTemplate, messages: Sequence[Message]) -> Rendering:
        """A training example; the loss is on its trained assistant turns."""
        if not messages or messages[-1].role != "assistant":
            raise InputError("a training example must end with an assistant message.")
        rendering = _counted(api_turns(template, messages), trained=True)
        if not any(rendering.loss_mask):
            raise InputError("the training example has no trained token: mark an assistant turn as trained.")
        return rendering


def _counted(turns: Sequence[Message], trained: bool) -> Rendering:
    mask: list[bool] = []
    for turn in turns:
        mask += [False] * _PER_MESSAGE
        on = trained and turn.role == "assistant" and turn.train
        mask += [on] * estimate_tokens(turn.content)
    text = "".join(f"[{turn.role}]\n{turn.content}\n" for turn in turns)
    return Rendering((0,) * len(mask), tuple(mask), text)
