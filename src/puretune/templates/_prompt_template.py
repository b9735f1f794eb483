"""Messages and the prompt template around them. Frozen values, nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from puretune.errors import InputError
from puretune.templates._fields import TemplateFields, checked_fields, checked_name
from puretune.templates._message import Message, Mode, OwnSystem
from puretune.visible import quoted


@dataclass(frozen=True)
class PromptTemplate:
    """A prompt template: what surrounds the user's text, in fine-tuning or at inference.

    Special tokens that the template itself spells are meant; those in examples' texts stay text.
    The seven templates of Lyu et al. (arXiv 2402.18540, section 3) are in :data:`BUILTIN_TEMPLATES`.
    """

    name: str
    mode: Mode = "chat"
    """``chat`` wraps turns in the model's own turn markup; ``text`` has no turn markup."""
    user: str = "%s"
    """The user wrapper; the first ``%s`` is replaced by the user's text."""
    system: str | None = None
    """The system prompt; in text mode it comes before the first user turn, a blank line between."""
    demonstrations: tuple[Message, ...] = ()
    """Turns shown before the conversation (In-Context Defense, few-shot); wrapped, never trained."""
    response_prefix: str = ""
    """Text the response is made to start with: part of the prompt, never trained."""
    separator: str | None = None
    """Between prompt and response in text mode; None: one blank, or nothing after white space.
    (What the paper used is not known.)"""
    own_system: OwnSystem | None = None
    """What to do with a system message that an example has: ``forbid`` raises an error, ``keep`` puts it
    after the template's system prompt, ``drop`` leaves it out; None: what the study says, else ``forbid``."""
    arguments: tuple[tuple[str, Any], ...] = field(default=())
    """Arguments pinned for the model's own chat template (``enable_thinking``, a date), sorted by name.
    ``strftime_now: 2024-07-26`` is the day for chat templates that ask for today's."""
    safety: bool = False
    """Whether the system prompt carries safety instructions: testing under such a template after tuning under
    one without is what the paper calls PTST. It changes no token."""

    def __post_init__(self) -> None:
        checked_name(self.name)
        said = {**{name: getattr(self, name) for name in TemplateFields.model_fields}, **self._nested()}
        checked = checked_fields(said, lambda _: f"template {self.name!r}")
        object.__setattr__(self, "arguments", tuple(sorted(checked.arguments.items())))
        object.__setattr__(self, "demonstrations", tuple(map(_shown, checked.demonstrations)))

    def _nested(self) -> dict[str, Any]:
        """Demonstrations and arguments as YAML would have them; what is neither is left to the check."""
        turns, pairs = self.demonstrations, self.arguments
        if isinstance(turns, list | tuple) and all(isinstance(turn, Message) for turn in turns):
            turns = [{turn.role: turn.content} for turn in turns]  # type: ignore[assignment]
        if isinstance(pairs, list | tuple) and all(isinstance(p, tuple) and len(p) == 2 for p in pairs):
            pairs = dict(pairs)  # type: ignore[assignment]
        return {"demonstrations": turns, "arguments": pairs}

    def __hash__(self) -> int:
        return hash((self.name, self.fingerprint))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over all that can change a token, so not ``name`` and ``safety`` (16 hex digits)."""
        fields = {key: value for key, value in asdict(self).items() if key not in ("name", "safety")}
        fields["own_system"] = self.own_system or "forbid"
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]

    def wrap(self, text: str) -> str:
        """The user's text inside the user wrapper (text that itself contains ``%s`` is left alone)."""
        before, after = self.user.split("%s", 1)
        return before + text + after

    def turns(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """The whole conversation: system prompt, demonstrations, ``messages``; user turns are wrapped."""
        own = [m for m in messages if m.role == "system"]
        rest = [m for m in messages if m.role != "system"]
        system = self._system(own)
        head = [Message("system", system, train=False)] if system else []
        return tuple(head + [self._wrapped(m) for m in (*self.demonstrations, *rest)])

    def _wrapped(self, message: Message) -> Message:
        return replace(message, content=self.wrap(message.content)) if message.role == "user" else message

    def _system(self, own: list[Message]) -> str:
        if own and self.own_system in (None, "forbid"):
            raise InputError(
                f"template {self.name!r}: the example has a system message, "
                f"{quoted(own[0].content, 60)}, and nothing says what to do with it. {self._advice()}"
            )
        kept = [m.content for m in own] if self.own_system == "keep" else []
        return "\n\n".join([self.system, *kept] if self.system else kept)

    def _advice(self) -> str:
        keys = (
            "    own_system: keep    # after the template's system prompt\n    own_system: drop    # left out"
        )
        if self.own_system is None:
            return f"Add one of these lines to the study, at its top level:\n{keys}"
        return (
            f"In this template's fields, put one of these lines in the place of `own_system: forbid`:\n{keys}"
        )


def template_from(name: str, fields: TemplateFields | Mapping[str, Any]) -> PromptTemplate:
    """A template from its fields (one entry of a YAML file); InputError names the template and the key."""
    if not isinstance(fields, TemplateFields):
        fields = checked_fields(fields, lambda _: f"template {name!r}")
    given = {key: getattr(fields, key) for key in fields.model_fields_set}
    if "demonstrations" in given:
        given["demonstrations"] = tuple(map(_shown, given["demonstrations"]))
    if "arguments" in given:
        given["arguments"] = tuple(given["arguments"].items())
    return PromptTemplate(name=name, **given)


def _shown(turn: Mapping[Any, str]) -> Message:
    """A demonstration: shown, never trained."""
    role, content = next(iter(turn.items()))
    return Message(role, content, train=False)
