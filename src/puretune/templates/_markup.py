"""Turn markup: how a model family spells the turns of a chat, written out.

The other way is the model's own chat template. The paper's Llama-2 runs need the explicit one: Llama-2's own
chat template strips the user's text, so the newline at the end of ``### Response:\\n`` would be lost.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from puretune.errors import InputError
from puretune.templates._message import Message


class TurnMarkup(Protocol):
    """Spells turns as text. ``generation`` opens an assistant turn at the end."""

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...

    @property
    def after_answer(self) -> str:
        """What follows an assistant turn's text."""
        ...

    def render(self, turns: Sequence[Message], generation: bool, arguments: Mapping[str, Any]) -> str: ...


@dataclass(frozen=True)
class ExplicitMarkup:
    """A markup written out. ``{}`` in a field is replaced by the turn's text, unchanged."""

    name: str
    user: str
    assistant: str
    """From the end of the generation prompt through the stop token and what follows it."""
    generation: str = ""
    """Opens an assistant turn."""
    system: str = "{}\n\n"
    system_in_user: bool = True
    """True: the system text is inside the first user turn (models without a system role)."""
    again: str = ""
    """Before every user turn but the first."""
    own_texts: bool = False
    """True: the reference encodes each exchange on its own, as sentencepiece does: with a blank in front."""

    @property
    def fingerprint(self) -> str:
        return digest(asdict(self))

    @property
    def after_answer(self) -> str:
        return self.assistant.split("{}", 1)[1]

    def render(self, turns: Sequence[Message], generation: bool, arguments: Mapping[str, Any]) -> str:
        if arguments:
            raise InputError(
                f"markup {self.name!r} takes no template arguments ({', '.join(arguments)}). "
                "Remove `arguments` from the template, or use the model's own chat template (markup: auto)."
            )
        system = "".join(fill(self.system, m.content) for m in turns if m.role == "system")
        rest = [m for m in turns if m.role != "system"]
        text = "" if self.system_in_user else system
        for place, message in enumerate(rest):
            inside = system if self.system_in_user and place == 0 else ""
            text += self._turn(message, inside, first=place == 0)
        return text + (self.generation if generation else "")

    def _turn(self, message: Message, inside: str, first: bool) -> str:
        if message.role == "user":
            return ("" if first else self.again) + fill(self.user, inside + message.content)
        return self.generation + fill(self.assistant, message.content)


def fill(pattern: str, text: str) -> str:
    """``pattern`` with its ``{}`` replaced by ``text`` (braces in ``text`` are left alone)."""
    before, after = pattern.split("{}", 1)
    return before + text + after


MARKUPS: dict[str, ExplicitMarkup] = {
    markup.name: markup
    for markup in (
        # meta-llama/llama, generation.py: B_INST, E_INST, B_SYS, E_SYS
        ExplicitMarkup(
            "llama-2",
            user="[INST] {} [/INST]",
            assistant=" {} </s>",
            system="<<SYS>>\n{}\n<</SYS>>\n\n",
            again="<s>",
            own_texts=True,
        ),
        # Mistral 7B Instruct v0.2 has no system role: system text in front of the user's, as in the paper
        # (mistral-common, tokenizer v1)
        ExplicitMarkup("mistral", user="[INST] {} [/INST]", assistant=" {}</s>", own_texts=True),
        ExplicitMarkup(
            "llama-3",
            user="<|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|>",
            assistant="{}<|eot_id|>",
            generation="<|start_header_id|>assistant<|end_header_id|>\n\n",
            system="<|start_header_id|>system<|end_header_id|>\n\n{}<|eot_id|>",
            system_in_user=False,
        ),
        ExplicitMarkup(
            "chatml",
            user="<|im_start|>user\n{}<|im_end|>\n",
            assistant="{}<|im_end|>\n",
            generation="<|im_start|>assistant\n",
            system="<|im_start|>system\n{}<|im_end|>\n",
            system_in_user=False,
        ),
        ExplicitMarkup(
            "gemma",
            user="<start_of_turn>user\n{}<end_of_turn>\n",
            assistant="{}<end_of_turn>\n",
            generation="<start_of_turn>model\n",
        ),
    )
}


def digest(value: Any) -> str:
    """SHA-256 of a JSON value (16 hex digits)."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
