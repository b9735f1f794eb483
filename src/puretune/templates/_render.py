"""Rendering: a template and messages become token ids and a loss mask, on a given tokenizer.

What holds for every rendering, or an InputError shows the tokens: one BOS at the start where the tokenizer
uses one; the prompt is a token prefix of the training example; each trained span ends with a stop token; text
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
from puretune.templates._frame import Layout, trimmed
from puretune.templates._markup import TurnMarkup
from puretune.templates._message import Message
from puretune.templates._prompt_template import PromptTemplate
from puretune.templates._spelling import Speller
from puretune.templates._text import Guard, show_tokens
from puretune.templates._text_mode import text_layout
from puretune.templates._thoughts import (
    CHOICES,
    Thoughts,
    checked_policy,
    closed_block,
    closing_of,
    opened_block,
    without_thoughts,
)
from puretune.templates._tool_turns import ToolConversation
from puretune.thoughts import ThinkingBlock, thinking_in

RENDERING_VERSION = "3"
"""Version of this code, for keys: raise it when the tokens change."""
_EXPLICIT = "Name an explicit markup in the study's `model: {markup: ...}`"


_EMPTY_BLOCK = (
    "the model's chat template writes an empty thinking block before the last answer, which is trained with "
    "it. Use an explicit markup to leave it out."
)


@dataclass(frozen=True)
class Rendering:
    """Token ids with a loss mask of the same length, and the text they spell."""

    ids: tuple[int, ...]
    loss_mask: tuple[bool, ...]
    text: str
    notes: tuple[str, ...] = ()
    """What came out differently from what went in (white space that the chat template trims), in words."""

    @property
    def trained(self) -> int:
        """How many tokens the loss sees."""
        return sum(self.loss_mask)


class Renderer:
    """Renders any template for one model: its tokenizer and its turn markup.

    ``tokenizer`` is a Hugging Face tokenizer; ``markup`` None means a model without a chat format (only
    text templates work); ``stop_ids``: further ids that end an answer (``generation_config.eos_token_id``);
    ``thoughts``: what is done with the thoughts of reasoning models.
    """

    def __init__(
        self,
        tokenizer: Any,
        markup: TurnMarkup | None = None,
        stop_ids: Iterable[int] = (),
        thoughts: Thoughts = "refuse",
    ) -> None:
        self.tokenizer = tokenizer
        self.markup = markup
        self.thoughts = checked_policy(thoughts)
        self._given_stops = frozenset(stop_ids)
        self._guard = Guard(tokenizer)
        self._speller = Speller(tokenizer, markup)
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
        """SHA-256 over tokenizer, markup, stop ids and what is done with thoughts (16 hex digits)."""
        spelled = (
            self.tokenizer.backend_tokenizer.to_str() if self.tokenizer.is_fast else repr(self.tokenizer)
        )
        markup = self.markup.fingerprint if self.markup else ""
        thoughts = "" if self.thoughts == "refuse" else f"\nthoughts: {self.thoughts}"
        whole = f"{spelled}\n{markup}\n{sorted(self.stop_ids)}{thoughts}"
        return hashlib.sha256(whole.encode()).hexdigest()[:16]

    def prompt(self, template: PromptTemplate, messages: Sequence[Message]) -> Rendering:
        """What the model is asked: ids up to where its answer begins. ``messages`` end with a user turn."""
        if not messages or messages[-1].role not in ("user", "tool"):
            raise InputError("a prompt must end with a user message; leave the reference answer out.")
        if any(message.is_about_tools for message in messages):
            ids, text, _ = self._with_tools(template, messages, generation=True)
            return Rendering(ids, (False,) * len(ids), text)
        asked = without_thoughts(self._turns(template, messages), self.thoughts)
        layout = self._prompt(template, self._guard.protect(asked))
        ids = self._encode(layout.text)
        notes = trimmed(self._guard.protect(asked), layout.said)
        return Rendering(ids, (False,) * len(ids), self._guard.remove(layout.text), notes)

    def example(self, template: PromptTemplate, messages: Sequence[Message]) -> Rendering:
        """A training example: the loss is on its trained assistant turns and their stop tokens."""
        if not messages or messages[-1].role != "assistant":
            raise InputError("a training example must end with an assistant message.")
        if any(message.is_about_tools for message in messages):
            return self._tool_example(template, messages)
        turns = self._turns(template, messages)
        self._require_trainable_thoughts(turns)
        block = self._trained_thoughts(template, turns[-1])
        turns = self._guard.protect(without_thoughts(turns, self.thoughts))
        layout, prompts = self._laid_out(template, turns, block)
        rendering = self._masked(template, turns, layout, prompts)
        if block is None and closed_block(layout.before(len(turns) - 1)) and not closed_block(prompts.text):
            rendering = replace(rendering, notes=(*rendering.notes, _EMPTY_BLOCK))
        return self._with_a_trained_token(rendering)

    def layout(self, template: PromptTemplate, messages: Sequence[Message], finished: bool = False) -> Layout:
        """What a prompt spells around its texts, and the texts as they come out (nothing in them is kept from
        being a special token); ``finished``: of a conversation that asks for no further answer.
        """
        turns = without_thoughts(self._turns(template, messages), self.thoughts)
        if not finished:
            return self._prompt(template, turns)
        if template.mode == "chat":
            return self._speller.spell(template, turns)
        whole = text_layout(self.tokenizer, template, turns)
        end = str(self.tokenizer.eos_token) if turns[-1].role == "assistant" else ""
        return replace(whole, pieces=(*whole.pieces[:-1], whole.pieces[-1] + end))

    def parse(self, token_ids: Sequence[int]) -> str:
        """The response's text: without special tokens and without white space around it."""
        special = self.stop_ids | set(self.tokenizer.all_special_ids)
        return str(self.tokenizer.decode([i for i in token_ids if i not in special])).strip()

    # conversations with tools

    def _tool_example(self, template: PromptTemplate, messages: Sequence[Message]) -> Rendering:
        """Trained on calls and answers; never on what tools return."""
        full, text, talk = self._with_tools(template, messages, generation=False)
        mask = [False] * len(full)
        for start, end in talk.spans(self._encode, full, self.stop_ids):
            mask[start:end] = [True] * (end - start)
        return self._with_a_trained_token(Rendering(full, tuple(mask), text))

    def _with_tools(
        self, template: PromptTemplate, messages: Sequence[Message], generation: bool
    ) -> tuple[tuple[int, ...], str, ToolConversation]:
        if self.thoughts == "train":
            raise InputError(
                "thoughts are not trained in conversations with tools. Set `model: {thoughts: strip}`."
            )
        turns = without_thoughts(self._turns(template, messages), self.thoughts)
        talk = ToolConversation(self.markup, template, self._guard.protect(turns))
        opening = [turn for turn in talk.turns if not turn.is_about_tools]
        first = next(place for place, turn in enumerate(opening) if turn.role == "user")
        self._speller.spell(template, tuple(opening[: first + 1]), generation=True)  # adds nothing unasked
        text = talk.checked(generation)
        return self._encode(text), self._guard.remove(text), talk

    def _with_a_trained_token(self, rendering: Rendering) -> Rendering:
        if not any(rendering.loss_mask):
            raise InputError(
                "the training example has no trained token:\n"
                f"  {show_tokens(self.tokenizer, rendering.ids)}\n"
                "Mark an assistant turn as trained (`train: true`), or leave the example out."
            )
        return rendering

    # turns

    def _turns(self, template: PromptTemplate, messages: Sequence[Message]) -> tuple[Message, ...]:
        for message in messages:
            self._guard.require_text(message)
        return template.turns(messages)

    def _require_trainable_thoughts(self, turns: Sequence[Message]) -> None:
        """Only the last answer's thoughts can be trained: at inference, earlier ones are not shown again."""
        for turn in turns[:-1] if self.thoughts == "train" else ():
            if turn.role == "assistant" and turn.train and thinking_in(turn.content)[0]:
                raise InputError(
                    "an earlier assistant message has thoughts, and a model is not shown the thoughts of "
                    "earlier turns. Mark it `train: false`, or set `model: {thoughts: strip}` in the study."
                )

    def _trained_thoughts(self, template: PromptTemplate, answer: Message) -> ThinkingBlock | None:
        """The last answer's thoughts in the chat template's own marks, what they spell kept as text."""
        block = thinking_in(answer.content)[0] if self.thoughts == "train" else None
        if block is None:
            return None
        said = self._guard.protect([Message("assistant", block.text)])[0].content
        source = str(getattr(self.tokenizer, "chat_template", None) or "")
        uses_own = template.mode == "chat" and isinstance(self.markup, TokenizerMarkup)
        return replace(block.marked_as(source) if uses_own else block, text=said)

    # layouts: what is spelled around and between the texts

    def _prompt(self, template: PromptTemplate, turns: tuple[Message, ...]) -> Layout:
        """Up to where the model's answer begins."""
        if template.mode == "text":
            return text_layout(self.tokenizer, template, turns, generation=True)
        if template.response_prefix:
            opened = self._speller.spell(template, (*turns, Message("assistant", template.response_prefix)))
            return Layout((*opened.pieces[:-2], opened.pieces[-2] + opened.said[-1]), opened.said[:-1])
        return self._without_open_block(self._speller.spell(template, turns, generation=True))

    def _without_open_block(self, layout: Layout) -> Layout:
        opened = opened_block(layout.pieces[-1])
        if not opened or self.thoughts == "train":
            return layout
        if self.thoughts == "strip":
            return replace(layout, pieces=(*layout.pieces[:-1], layout.pieces[-1].removesuffix(opened)))
        raise InputError(
            f"the model's chat template opens a thinking block ({opened.strip()}) for every answer, so "
            "that it begins inside thoughts; the generation prompt is not the start of a finished turn.\n"
            f"{CHOICES}{self._speller.thinking_argument()}"
        )

    def _laid_out(
        self, template: PromptTemplate, turns: tuple[Message, ...], block: ThinkingBlock | None
    ) -> tuple[Layout, Layout]:
        """The whole example, and its prompt."""
        prompt = self._prompt(template, turns[:-1])
        answer = replace(turns[-1], content=template.response_prefix + turns[-1].content)
        if template.mode == "text":
            said = replace(turns[-1], content=(block.spelled() if block else "") + turns[-1].content)
            return text_layout(self.tokenizer, template, (*turns[:-1], said)), prompt
        whole = self._speller.spell(template, (*turns[:-1], answer))
        thinking = self._thinking(template, prompt.pieces[-1], block)
        if not thinking:
            return whole, prompt
        pieces = (*prompt.pieces[:-1], prompt.pieces[-1] + thinking, whole.pieces[-1])
        return Layout(pieces, (*prompt.said, turns[-1].content)), prompt

    def _thinking(self, template: PromptTemplate, before: str, block: ThinkingBlock | None) -> str:
        """The thinking block to put between a prompt and an answer; "" for none."""
        opened = opened_block(before)
        if block is None and not opened:
            return ""
        if template.response_prefix or closed_block(before):
            what = "begins the response itself" if template.response_prefix else "asks for no thoughts"
            raise InputError(
                f"template {template.name!r} {what}, but the row has thoughts to train. Remove that from the "
                "template, or set `model: {thoughts: strip}` in the study."
            )
        empty = thinking_in(f"{opened}\n{closing_of(opened)}")[0] if block is None else block
        assert empty is not None
        return empty.spelled(opened=bool(opened))

    # masks

    def _masked(
        self, template: PromptTemplate, turns: tuple[Message, ...], layout: Layout, prompt: Layout
    ) -> Rendering:
        text = layout.text
        full = self._encode(text)
        if template.mode == "text":
            full = (*full, self._eos())
            text += str(self.tokenizer.eos_token)
        mask = [False] * len(full)
        for place, turn in enumerate(turns):
            if turn.role == "assistant" and turn.train:
                asked = prompt if place == len(turns) - 1 else self._earlier(template, turns, layout, place)
                start, end = self._span(template, layout, place, self._encode(asked.text), full)
                mask[start:end] = [True] * (end - start)
        notes = trimmed(turns, layout.said) if template.mode == "chat" else ()
        return Rendering(full, tuple(mask), self._guard.remove(text), notes)

    def _earlier(
        self, template: PromptTemplate, turns: tuple[Message, ...], layout: Layout, place: int
    ) -> Layout:
        """The prompt of an assistant turn that is not the last."""
        here = Layout(layout.pieces[: place + 1], layout.said[:place])
        if template.mode == "text":
            return here
        plain = replace(template, response_prefix="")
        prompt = self._prompt(plain, turns[:place])
        block = closed_block(prompt.text)
        if not block or here.text.endswith(block):
            return prompt
        if self.thoughts == "refuse":
            raise InputError(
                f"the model's chat template ends prompts with an empty thinking block, {block!r:.60}, which "
                f"earlier turns of a conversation do not have. {CHOICES}"
            )
        return here

    def _span(
        self,
        template: PromptTemplate,
        layout: Layout,
        place: int,
        prompt: tuple[int, ...],
        full: tuple[int, ...],
    ) -> tuple[int, int]:
        """Where the assistant turn at ``place`` is trained: after its prompt, through its stop token."""
        self._require_prefix(prompt, full)
        stop = next((i for i in range(len(prompt), len(full)) if full[i] in self.stop_ids), None)
        if stop is None or not self._closes(template, layout, place):
            raise InputError(
                "the assistant turn does not end with a stop token, so the model would not learn to stop.\n"
                f"  turn: {show_tokens(self.tokenizer, full[len(prompt) :])}\n"
                f"  stop tokens: {show_tokens(self.tokenizer, sorted(self.stop_ids))}\n"
                f"{_EXPLICIT}, or give the model a chat template that closes the assistant's turn."
            )
        return len(prompt), stop + 1

    def _closes(self, template: PromptTemplate, layout: Layout, place: int) -> bool:
        """Whether what follows the assistant turn's text begins with a stop token."""
        if template.mode == "text":
            return True
        spelled = self.tokenizer.convert_ids_to_tokens(sorted(self.stop_ids))
        return layout.pieces[place + 1].lstrip().startswith(tuple(spelled))

    def _eos(self) -> int:
        if self.tokenizer.eos_token_id is None:
            raise InputError("the tokenizer has no EOS token, so a text template cannot end a response.")
        return int(self.tokenizer.eos_token_id)

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
            f"the prompt is not a token prefix of the training example; they differ from token {at}:\n"
            f"  prompt:  ...{show_tokens(self.tokenizer, prompt[max(0, at - 4) : at + 4])}\n"
            f"  example: ...{show_tokens(self.tokenizer, full[max(0, at - 4) : at + 4])}\n"
            "Begin the response with other characters, set the template's `separator`, or name another "
            "markup in the study's `model: {markup: ...}`."
        )
