"""Conversations with tool calls: what the chat template makes of them, and which parts are trained.

user: Weather in Rome?    assistant: calls get_weather    tool: {"t": 21}    assistant: It is 21 degrees.
                          ^ trained, with its stop token                     ^ trained, with its stop token

Calls are written by the chat template from their arguments, so the texts are not looked up one by one as in
other conversations; instead every assistant turn is what comes after the prompt that asks for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from puretune.errors import InputError
from puretune.templates._chat_template import TokenizerMarkup
from puretune.templates._markup import TurnMarkup
from puretune.templates._message import GUARD, Message
from puretune.templates._prompt_template import PromptTemplate
from puretune.visible import one_line

WITHOUT_TOOLS = "Take them out: puretune data clean FILE --tools drop --out CLEAN.jsonl."
Encode = Callable[[str], tuple[int, ...]]


class ToolConversation:
    """One conversation under a template whose markup renders tool turns; InputError if it does not."""

    def __init__(self, markup: TurnMarkup | None, template: PromptTemplate, turns: Sequence[Message]) -> None:
        _check_markup(markup, template)
        assert markup is not None
        self._markup, self._template, self.turns = markup, template, tuple(turns)

    def text(self, upto: int, generation: bool) -> str:
        """The first turns as they are spelled; with ``generation`` up to where an answer begins."""
        return self._markup.render(self.turns[:upto], generation, dict(self._template.arguments))

    def checked(self, generation: bool) -> str:
        """The whole text; InputError if a turn's text, or the name of what is called, is not in it."""
        text, at = self.text(len(self.turns), generation), 0
        for turn in self.turns:
            for said in _said(turn):
                found = text.find(said, at)
                if found < 0:
                    shown = one_line(said.replace(GUARD, ""), 60)
                    raise InputError(
                        f"the model's chat template drops or rewrites a {turn.role} turn of a conversation "
                        f"with tools, {shown!r}. {WITHOUT_TOOLS}"
                    )
                at = found + len(said)
        return text

    def spans(
        self, encode: Encode, full: tuple[int, ...], stops: Collection[int]
    ) -> Iterator[tuple[int, int]]:
        """Where each trained assistant turn is: after its prompt, through its stop token."""
        for place, turn in enumerate(self.turns):
            if turn.role == "assistant" and turn.train:
                prompt = encode(self.text(place, True))
                upto = encode(self.text(place + 1, False))
                end = next((n for n in range(len(prompt), len(upto)) if upto[n] in stops), None)
                if full[: len(prompt)] != prompt:
                    raise InputError(
                        "the prompt of an assistant turn is not the start of a conversation with tools: the "
                        f"model's chat template writes turns otherwise once others follow. {WITHOUT_TOOLS}"
                    )
                if end is None or full[: end + 1] != upto[: end + 1]:
                    raise InputError(
                        "an assistant turn of a conversation with tools does not end with a stop token, so "
                        f"the model would not learn to stop. {WITHOUT_TOOLS}"
                    )
                yield len(prompt), end + 1


def _check_markup(markup: TurnMarkup | None, template: PromptTemplate) -> None:
    reason = ""
    if template.mode == "text" or template.response_prefix:
        reason = (
            f"template {template.name!r} is a text template or begins the response, and takes no tool turns"
        )
    elif not isinstance(markup, TokenizerMarkup):
        name = markup.name if markup else "none"
        reason = (
            f"the markup ({name}) spells no tool turns; only a model's own chat template may (markup: auto)"
        )
    elif "tool" not in str(markup.tokenizer.chat_template):
        reason = "the model's chat template knows no tool turns"
    if reason:
        raise InputError(f"{reason}. {WITHOUT_TOOLS}")


def _said(turn: Message) -> list[str]:
    """What must be found of a turn."""
    calls: list[Any] = json.loads(turn.tool_calls) if turn.tool_calls else []
    names = [str(call["function"]["name"]) for call in calls]
    return [text for text in (turn.content.strip(), *names) if text]
