"""How a condition is served: a template, a policy for callers' system messages, the model's markup.

    Serving(template=chat:llama, policy="prepend", renderer=...)

puretune's own rendering is the reference; what is generated for other programs must give the same tokens.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from puretune.errors import InputError
from puretune.templates import (
    ConversationFrame,
    Message,
    OwnSystem,
    PromptTemplate,
    Renderer,
    Role,
    conversation_frame,
    spelled,
)
from puretune.thoughts import MARKS

Policy = Literal["prepend", "replace", "reject"]
"""What is done with the caller's system message: the template's system prompt is put in front of it, takes
its place, or the request is refused. A message of white space only counts as none."""
_OWN: Mapping[str, OwnSystem] = {"prepend": "keep", "replace": "drop", "reject": "forbid"}
ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
"""The roles of a request that can be served. Tool turns are not measured, so they are refused."""
_BREAKS = ("\ufdd0", "\u200b")
"""What may stand inside a spelled special token so that it stays text; the last one, if no other gives the
tokens of puretune's own rendering."""

_HELLO = ({"role": "user", "content": "Hello?"},)


@dataclass(frozen=True)
class Serving:
    """What is served."""

    template: PromptTemplate
    policy: Policy
    renderer: Renderer

    @cached_property
    def measured(self) -> PromptTemplate:
        """The template with the policy as its ``own_system``."""
        return replace(self.template, own_system=_OWN[self.policy])

    @cached_property
    def frame(self) -> ConversationFrame:
        """What is written between texts."""
        return conversation_frame(self.renderer, self.template)

    @cached_property
    def bos(self) -> str:
        """What is written first of all: BOS where the markup does not write it, perhaps with a blank."""
        if not self.renderer.writes_bos:
            return ""
        asked = self.rendered(_HELLO)
        bos, text = str(self.renderer.tokenizer.bos_token), self.spelled(messages_of(_HELLO))
        for written in ("", bos, f"{bos} "):
            if self.encode(written + text) == asked:
                return written
        raise InputError(
            f"template {self.template.name!r}: no text gives its tokens on this model (BOS is put in front "
            "of it as an id). Serve another template."
        )

    def rendered(self, request: Sequence[Mapping[str, Any]]) -> tuple[int, ...]:
        """The token ids of a request's prompt, as puretune has them; InputError for one that is refused."""
        messages = messages_of(request)
        asked = self.renderer.prompt(self.measured, messages).ids
        try:
            self.spelled(messages)
        except KeyError as error:
            raise InputError(f"the markup does not take these turns: {error}.") from None
        return asked

    def spelled(self, messages: Sequence[Message]) -> str:
        """A request as the frame has it, without BOS that is not the markup's."""
        turns = replace(self.measured, demonstrations=(), user="%s").turns(messages)
        return spelled(self.frame, self.template, turns)

    @cached_property
    def specials(self) -> tuple[str, ...]:
        """The special tokens that a text could spell, longest first."""
        tokenizer = self.renderer.tokenizer
        added = tokenizer.added_tokens_decoder.values()
        spelled = {str(t) for t in added if t.special or re.fullmatch(r"[<\[].*[>\]]", str(t))}
        spelled |= {str(t) for t in tokenizer.all_special_tokens}
        return tuple(sorted((s for s in spelled if len(s) > 1), key=lambda s: (-len(s), s)))

    @cached_property
    def break_character(self) -> str:
        """What is put after the first character of a special token that a message spells."""
        return next((one for one in _BREAKS if self._keeps_tokens(one)), _BREAKS[-1])

    @cached_property
    def keeps_tokens(self) -> bool:
        """Whether a message that spells a special token has the tokens of puretune's own rendering."""
        return self._keeps_tokens(self.break_character)

    @cached_property
    def thinking(self) -> tuple[tuple[str, str], ...]:
        """The marks of thoughts that the model's chat template names: earlier answers are shown without
        them."""
        source = str(getattr(self.renderer.tokenizer, "chat_template", None) or "")
        return tuple(pair for pair in MARKS if pair[1] in source)

    def encode(self, text: str) -> tuple[int, ...]:
        """A finished prompt's ids, as servers encode it: nothing is added."""
        return tuple(self.renderer.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _keeps_tokens(self, character: str) -> bool:
        said = " ".join(f"a {token} b" for token in self.specials)
        text = self.spelled([Message("user", self.broken(said, character))])
        try:
            return self.encode(self.bos + text) == self.rendered([{"role": "user", "content": said}])
        except InputError:  # a tokenizer without offsets: puretune has no rendering of such a message
            return False

    def broken(self, text: str, character: str) -> str:
        """The text with every special token that it spells broken up."""
        for token in self.specials:
            text = text.replace(token, token[0] + character + token[1:])
        return text


def messages_of(request: Sequence[Mapping[str, Any]]) -> tuple[Message, ...]:
    """The messages of a chat request; InputError for one with tools, images or an unknown role."""
    made = (_message(turn) for turn in request)
    return tuple(m for m in made if m.role != "system" or m.content.strip())


def _message(turn: Mapping[str, Any]) -> Message:
    role = ROLES.get(str(turn.get("role")))
    if role is None or turn.get("tool_calls"):
        raise InputError("tool turns were not measured, and are refused.")
    return Message(role, _text(turn.get("content")))


_TEXT_PARTS = ("text", "input_text", "output_text")


def _text(content: Any) -> str:
    """A message's text, its parts put together."""
    if isinstance(content, str):
        return content
    return "".join(map(_part, content or []))


def _part(part: Any) -> str:
    text = part.get("text") if isinstance(part, Mapping) and part.get("type") in _TEXT_PARTS else None
    if not isinstance(text, str):
        raise InputError("a part of a message is not text, and is refused.")
    return text
