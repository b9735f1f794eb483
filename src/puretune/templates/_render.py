"""Rendering: a template and messages become token ids and a loss mask, on a given tokenizer.

What holds for every rendering, or an InputError shows the tokens: one BOS at the start where the tokenizer
uses one; the prompt is a token prefix of the training example; the trained span ends with a stop token; text
that spells a special token stays text; the model's chat template drops nothing and adds nothing unasked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from puretune.errors import InputError
from puretune.templates._chat_template import TokenizerMarkup
from puretune.templates._markup import TurnMarkup
from puretune.templates._message import MARK, Message
from puretune.templates._text import Guard, show_tokens
from puretune.templates._values import PromptTemplate

_EXPLICIT = "Name an explicit markup in the study's `model: {markup: ...}`"


@dataclass(frozen=True)
class Rendering:
    """Token ids with a loss mask of the same length, and the text they spell."""

    ids: tuple[int, ...]
    loss_mask: tuple[bool, ...]
    text: str

    @property
    def trained(self) -> int:
        """How many tokens the loss sees."""
        return sum(self.loss_mask)


class Renderer:
    """Renders any template for one model: its tokenizer and its turn markup.

    ``tokenizer`` is a Hugging Face tokenizer; ``markup`` None stands for a model without a chat format (only
    text templates work); ``stop_ids``: further ids that end an answer (``generation_config.eos_token_id``).
    """

    def __init__(
        self, tokenizer: Any, markup: TurnMarkup | None = None, stop_ids: Iterable[int] = ()
    ) -> None:
        self.tokenizer = tokenizer
        self.markup = markup
        self._given_stops = frozenset(stop_ids)
        self._guard = Guard(tokenizer)
        first = tokenizer("a")["input_ids"][:1]
        self._bos: int | None = tokenizer.bos_token_id if first == [tokenizer.bos_token_id] else None

    @property
    def writes_bos(self) -> bool:
        """Whether every rendering begins with the tokenizer's BOS token."""
        return self._bos is not None

    @cached_property
    def stop_ids(self) -> frozenset[int]:
        """Ids that end an answer: EOS, the given ones, and what closes the markup's assistant turn."""
        eos = self.tokenizer.eos_token_id
        stops = self._given_stops | ({eos} if eos is not None else set())
        return frozenset(stops | self._turn_end())

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over tokenizer, markup and stop ids (16 hex digits)."""
        spelled = (
            self.tokenizer.backend_tokenizer.to_str() if self.tokenizer.is_fast else repr(self.tokenizer)
        )
        markup = self.markup.fingerprint if self.markup else ""
        return hashlib.sha256(f"{spelled}\n{markup}\n{sorted(self.stop_ids)}".encode()).hexdigest()[:16]

    def prompt(self, template: PromptTemplate, messages: Sequence[Message]) -> Rendering:
        """What the model is asked: ids up to where its answer begins. ``messages`` end with a user turn."""
        if not messages or messages[-1].role != "user":
            raise InputError("a prompt must end with a user message; leave the reference answer out.")
        text = self._prompt_text(template, template.turns(self._guard.protect(messages)))
        ids = self._encode(text)
        return Rendering(ids, (False,) * len(ids), self._guard.remove(text))

    def example(self, template: PromptTemplate, messages: Sequence[Message]) -> Rendering:
        """A training example: the loss is on its trained assistant turns and their stop tokens.

        In text mode, which has no markup between turns, only the final response is trained.
        """
        if not messages or messages[-1].role != "assistant":
            raise InputError("a training example must end with an assistant message.")
        turns = template.turns(self._guard.protect(messages))
        rendering = (
            self._text_example(template, turns) if template.mode == "text" else self._chat(template, turns)
        )
        if not any(rendering.loss_mask):
            raise InputError(
                "the training example has no trained token:\n"
                f"  {show_tokens(self.tokenizer, rendering.ids)}\n"
                "Mark an assistant turn as trained (`train: true`), or leave the example out."
            )
        return rendering

    def parse(self, token_ids: Sequence[int]) -> str:
        """The response's text: without special tokens and without white space around it."""
        special = self.stop_ids | set(self.tokenizer.all_special_ids)
        return str(self.tokenizer.decode([i for i in token_ids if i not in special])).strip()

    # text mode

    def _text_example(self, template: PromptTemplate, turns: tuple[Message, ...]) -> Rendering:
        prompt_text = self._prompt_text(template, turns[:-1])
        full_text = prompt_text + self._gap(template, prompt_text) + turns[-1].content
        if self.tokenizer.eos_token_id is None:
            raise InputError("the tokenizer has no EOS token, so a text template cannot end a response.")
        prompt, full = self._encode(prompt_text), (*self._encode(full_text), self.tokenizer.eos_token_id)
        self._require_prefix(prompt, full)
        trained = turns[-1].train
        mask = (False,) * len(prompt) + (trained,) * (len(full) - len(prompt))
        return Rendering(full, mask, self._guard.remove(full_text) + self.tokenizer.eos_token)

    def _text_of(self, template: PromptTemplate, turns: Sequence[Message]) -> str:
        text = ""
        for turn in turns:
            if turn.role == "assistant":
                text += _separator(template, text) + turn.content
            else:
                text += ("\n\n" if text else "") + turn.content
        return text

    def _gap(self, template: PromptTemplate, prompt_text: str) -> str:
        return "" if template.response_prefix else _separator(template, prompt_text)

    # chat mode

    def _chat(self, template: PromptTemplate, turns: tuple[Message, ...]) -> Rendering:
        last = replace(turns[-1], content=template.response_prefix + turns[-1].content)
        turns = (*turns[:-1], last)
        text = self._spell(template, turns, generation=False)
        full = self._encode(text)
        mask = [False] * len(full)
        for place, turn in enumerate(turns):
            if turn.role == "assistant" and turn.train:
                start, end = self._span(template, turns, place, full)
                mask[start:end] = [True] * (end - start)
        return Rendering(full, tuple(mask), self._guard.remove(text))

    def _span(
        self, template: PromptTemplate, turns: tuple[Message, ...], place: int, full: tuple[int, ...]
    ) -> tuple[int, int]:
        """Where the assistant turn at ``place`` is trained: after its prompt, through its stop token."""
        is_last = place == len(turns) - 1
        opened = template if is_last else replace(template, response_prefix="")
        prompt = self._encode(self._prompt_text(opened, turns[:place]))
        self._require_prefix(prompt, full)
        stop = next((i for i in range(len(prompt), len(full)) if full[i] in self.stop_ids), None)
        if stop is None or not self._closes(template, turns, place):
            raise InputError(
                "the assistant turn does not end with a stop token, so the model would not learn to stop.\n"
                f"  turn: {show_tokens(self.tokenizer, full[len(prompt) :])}\n"
                f"  stop tokens: {show_tokens(self.tokenizer, sorted(self.stop_ids))}\n"
                f"{_EXPLICIT}, or give the model a chat template that closes the assistant's turn."
            )
        return len(prompt), stop + 1

    def _closes(self, template: PromptTemplate, turns: tuple[Message, ...], place: int) -> bool:
        """Whether what follows the assistant turn's text begins with a stop token."""
        marked = replace(turns[place], content=turns[place].content + MARK)
        after = self._spell(template, (*turns[:place], marked, *turns[place + 1 :]), generation=False)
        spelled = self.tokenizer.convert_ids_to_tokens(sorted(self.stop_ids))
        return after.split(MARK)[-1].lstrip().startswith(tuple(spelled))

    def _prompt_text(self, template: PromptTemplate, turns: Sequence[Message]) -> str:
        if template.mode == "text":
            text = self._text_of(template, turns)
            prefix = template.response_prefix
            return text + (_separator(template, text) + prefix if prefix else "")
        if not template.response_prefix:
            return self._spell(template, turns, generation=True)
        opened = Message("assistant", template.response_prefix + MARK)
        return self._spell(template, [*turns, opened], generation=False).split(MARK)[0]

    def _spell(self, template: PromptTemplate, turns: Sequence[Message], generation: bool) -> str:
        if self.markup is None:
            raise InputError(
                f"template {template.name!r} is a chat template, but the model has no chat template. "
                f"{_EXPLICIT}, or use a text template."
            )
        text = self.markup.render(turns, generation, dict(template.arguments))
        self._require_all_said(text, turns)
        return text

    def _turn_end(self) -> set[int]:
        if self.markup is None:
            return set()
        special = set(self.tokenizer.all_special_ids) | set(self.tokenizer.added_tokens_decoder)
        ids = self.tokenizer(self.markup.after_answer, add_special_tokens=False)["input_ids"]
        return set([i for i in ids if i in special][:1])

    # tokens

    def _encode(self, text: str) -> tuple[int, ...]:
        ids = self._guard.encode(text)
        bos = self.tokenizer.bos_token_id
        if bos is not None and ids[:2] == (bos, bos):
            raise InputError(
                f"two BOS tokens at the start: {show_tokens(self.tokenizer, ids[:8])}. "
                f"The chat template writes BOS twice. {_EXPLICIT}."
            )
        return ids if self._bos is None or ids[:1] == (self._bos,) else (self._bos, *ids)

    def _require_prefix(self, prompt: tuple[int, ...], full: tuple[int, ...]) -> None:
        if full[: len(prompt)] == prompt:
            return
        at = next((i for i, (a, b) in enumerate(zip(prompt, full, strict=False)) if a != b), len(full))
        raise InputError(
            f"the prompt is not a token prefix of the training example; they part at token {at}:\n"
            f"  prompt:  ...{show_tokens(self.tokenizer, prompt[max(0, at - 4) : at + 4])}\n"
            f"  example: ...{show_tokens(self.tokenizer, full[max(0, at - 4) : at + 4])}\n"
            "Begin the response with other characters, set the template's `separator`, or name another "
            "markup in the study's `model: {markup: ...}`."
        )

    def _require_all_said(self, text: str, turns: Sequence[Message]) -> None:
        at = 0
        for turn in turns:
            found = text.find(turn.content.strip(), at)
            if found < 0:
                own = isinstance(self.markup, TokenizerMarkup)
                raise InputError(
                    f"the {'chat template' if own else 'markup'} drops or rewrites the {turn.role} message "
                    f"{turn.content[:60]!r}:\n"
                    f"  {show_tokens(self.tokenizer, self._guard.encode(text))}\n"
                    f"{_EXPLICIT} that has a place for it."
                )
            # a system text may stand inside the first user turn, so only the start moves on
            at = found


def _separator(template: PromptTemplate, before: str) -> str:
    if template.separator is not None:
        return template.separator
    return "" if not before or before[-1].isspace() else " "
