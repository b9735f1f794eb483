"""Turns spelled by a markup, and checked: every text there, once, in order, and nothing added unasked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from puretune.errors import InputError
from puretune.templates._chat_template import TokenizerMarkup
from puretune.templates._frame import Addition, Layout, addition, laid_out, pieces_of
from puretune.templates._markup import MARKUPS, TurnMarkup
from puretune.templates._message import GUARD, MARK, Message
from puretune.templates._prompt_template import PromptTemplate
from puretune.templates._text import Guard, show_tokens
from puretune.thoughts import MARKS
from puretune.visible import one_line, quoted

_EXPLICIT = "Name an explicit markup in the study's `model: {markup: ...}`"
_THOUGHTS = re.compile(
    "|".join([r"<\|channel\|>\w+<\|message\|>", *(re.escape(mark) for pair in MARKS for mark in pair)])
)
"""What a model writes itself before its answer."""
_Key = tuple[tuple[str, ...], bool, str]


class Speller:
    """Spells turns on one tokenizer with one markup; what the markup writes around them is examined once."""

    def __init__(self, tokenizer: Any, markup: TurnMarkup | None) -> None:
        self.tokenizer = tokenizer
        self.markup = markup
        self._frames: dict[_Key, tuple[str, ...] | None] = {}

    def spell(self, template: PromptTemplate, turns: tuple[Message, ...], generation: bool = False) -> Layout:
        """The turns in the markup; InputError if it drops, rewrites or adds text."""
        if self.markup is None:
            raise InputError(
                f"template {template.name!r} is a chat template, but the model has no chat template. "
                f"{_EXPLICIT}, or use a text template."
            )
        text = self.markup.render(turns, generation, dict(template.arguments))
        pieces = self._frame(template, turns, generation)
        layout = laid_out(text, pieces, turns) if pieces else None
        if layout is None:
            raise self._lost(text, turns)
        return layout

    def thinking_argument(self) -> str:
        """How a chat template that has a switch for thoughts is told to leave them out."""
        source = str(getattr(self.tokenizer, "chat_template", None) or "")
        if not isinstance(self.markup, TokenizerMarkup) or "enable_thinking" not in source:
            return ""
        return " Or pin `arguments: {enable_thinking: false}` in your own template: no thinking then."

    def _frame(
        self, template: PromptTemplate, turns: tuple[Message, ...], generation: bool
    ) -> tuple[str, ...] | None:
        key = (tuple(turn.role for turn in turns), generation, repr(template.arguments))
        if key not in self._frames:
            self._frames[key] = self._looked_at(template, turns, generation)
        return self._frames[key]

    def _looked_at(
        self, template: PromptTemplate, turns: tuple[Message, ...], generation: bool
    ) -> tuple[str, ...] | None:
        assert self.markup is not None
        marked = [replace(turn, content=MARK) for turn in turns]
        pieces = pieces_of(self.markup.render(marked, generation, dict(template.arguments)), len(turns))
        if pieces and isinstance(self.markup, TokenizerMarkup) and self.markup.default_system == "forbid":
            roles = [turn.role for turn in turns]
            tokens = [str(token) for token in self.tokenizer.added_tokens_decoder.values()]
            found = addition(pieces, roles, generation, tokens)
            if found:
                raise self._added(found, roles)
        if pieces and generation:
            self._require_opening(template, marked, pieces[-1])
        return pieces

    def _require_opening(self, template: PromptTemplate, marked: list[Message], asked: str) -> None:
        """InputError where finished answers begin with words that the end of a prompt does not have."""
        assert self.markup is not None
        turns = (*marked, Message("assistant", MARK))
        try:
            finished = pieces_of(self.markup.render(turns, False, dict(template.arguments)), len(turns))
        except InputError:
            return  # it is told when an example is rendered
        before = finished[-2] if finished and finished[-2].startswith(asked) else asked
        opening = before[len(asked) :]
        if re.search(r"\w", _THOUGHTS.sub("", opening)):
            raise InputError(
                f"the model's chat template writes {quoted(opening, 60)} before an answer and not at the end "
                "of a prompt (it ignores `add_generation_prompt`): a model would be asked without it and "
                f"trained to write it. {_EXPLICIT}."
            )

    def _added(self, found: Addition, roles: Sequence[str]) -> InputError:
        ids = self.tokenizer(found.text, add_special_tokens=False)["input_ids"]
        return InputError(
            f"the model's chat template {_where(found, roles)}, which was not requested:\n"
            f"  {show_tokens(self.tokenizer, ids)}\n"
            "A model would be asked and trained under another prompt than the template's. Set "
            "`default_system: keep` in the study's `model` to make it part of chat prompts on purpose, or "
            f"name an explicit markup ({', '.join(MARKUPS)}) in `model: {{markup: ...}}`."
        )

    def _lost(self, text: str, turns: Sequence[Message]) -> InputError:
        own = "the chat template" if isinstance(self.markup, TokenizerMarkup) else "the markup"
        shown = f"\n  {show_tokens(self.tokenizer, Guard(self.tokenizer).encode(text))}\n{_EXPLICIT}"
        at = 0
        for turn in turns:
            found = text.find(turn.content.strip(), at)
            if found < 0:
                said = one_line(turn.content.replace(GUARD, ""), 60)
                return InputError(
                    f"{own} drops or rewrites the {turn.role} message {said!r}:{shown} that takes it."
                )
            at = found + len(turn.content.strip())
        return InputError(
            f"{own} changes what it writes around messages ({', '.join(t.role for t in turns)}) with "
            f"what they say, or repeats one:{shown}."
        )


def _where(found: Addition, roles: Sequence[str]) -> str:
    if found.is_system and found.piece == 0:
        return "writes a system message of its own"
    if found.piece == 0:
        return f"adds text of its own {'to' if roles[0] == 'system' else 'before'} the {roles[0]} message"
    role = roles[found.piece - 1]
    after_turn = re.search(r"\n|<|\[", found.text) is not None
    return f"adds text of its own {'after' if after_turn else 'to'} the {role} message"
