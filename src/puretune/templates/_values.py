"""What is said: messages and the prompt template around them. Frozen values, nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from functools import cached_property
from typing import Any, Literal

from puretune.errors import InputError, unknown

Role = Literal["system", "user", "assistant"]
Mode = Literal["text", "chat"]
OwnSystem = Literal["forbid", "keep", "drop"]
DefaultSystem = Literal["forbid", "keep"]


@dataclass(frozen=True)
class Message:
    """One turn. ``train`` says whether an assistant turn is part of the loss; other roles ignore it."""

    role: Role
    content: str
    train: bool = True


@dataclass(frozen=True)
class PromptTemplate:
    """A prompt template: what stands around the user's text, in fine-tuning or at inference.

    Special tokens that the template itself spells are meant; those in examples' texts stay text.
    The seven templates of Lyu et al. (arXiv 2402.18540, section 3) are in :data:`BUILTIN_TEMPLATES`.
    """

    name: str
    mode: Mode = "chat"
    """``chat`` wraps turns in the model's own turn markup; ``text`` has no turn markup."""
    user: str = "%s"
    """The user wrapper; the first ``%s`` is replaced by the user's text."""
    system: str | None = None
    """The system prompt; in text mode it stands in front of the first user turn, a blank line between."""
    demonstrations: tuple[Message, ...] = ()
    """Turns shown before the conversation (In-Context Defense, few-shot); wrapped, never trained."""
    response_prefix: str = ""
    """Text the response is made to start with: part of the prompt, never trained."""
    separator: str | None = None
    """Between prompt and response in text mode; None: one blank, or nothing after white space.
    (What the paper used is not known.)"""
    own_system: OwnSystem = "forbid"
    """What to do with a system message that an example brings itself: ``forbid`` raises an error, ``keep``
    puts it after the template's system prompt, ``drop`` leaves it out."""
    arguments: tuple[tuple[str, Any], ...] = field(default=())
    """Arguments pinned for the model's own chat template (``enable_thinking``, a date), sorted by name.
    ``strftime_now: 2024-07-26`` is the day for chat templates that ask for today's."""
    safety: bool = False
    """Whether the system prompt carries safety instructions: testing under such a template after tuning under
    one without is what the paper calls PTST. It changes no token."""

    def __post_init__(self) -> None:
        if "%s" not in self.user:
            raise InputError(
                f"template {self.name!r}: the user wrapper {self.user!r} has no %s. "
                "Put %s where the text goes."
            )
        if self.mode not in ("text", "chat"):
            raise InputError(f"template {self.name!r}: mode is {self.mode!r}; use 'text' or 'chat'.")
        pinned = tuple(sorted((key, self._plain(key, value)) for key, value in self.arguments))
        object.__setattr__(self, "arguments", pinned)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over all that can change a token, so not ``name`` and ``safety`` (16 hex digits)."""
        fields = {key: value for key, value in asdict(self).items() if key not in ("name", "safety")}
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]

    def wrap(self, text: str) -> str:
        """The user's text inside the user wrapper (text that itself contains ``%s`` is left alone)."""
        before, after = self.user.split("%s", 1)
        return before + text + after

    def turns(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """The whole conversation: system prompt, demonstrations, ``messages``; user turns are wrapped."""
        own = [m for m in messages if m.role == "system"]
        rest = [m for m in messages if m.role != "system"]
        shown = [replace(m, train=False) for m in self.demonstrations]
        system = self._system(own)
        head = [Message("system", system, train=False)] if system else []
        return tuple(head + [self._wrapped(m) for m in (*shown, *rest)])

    def _plain(self, argument: str, value: Any) -> Any:
        if isinstance(value, date):  # YAML reads 2024-07-26 as one
            return value.isoformat()
        try:
            json.dumps(value)
        except TypeError:
            raise InputError(
                f"template {self.name!r}: the argument {argument!r} is {value!r}; "
                "use text, numbers, true or false, and lists or mappings of them."
            ) from None
        return value

    def _wrapped(self, message: Message) -> Message:
        return replace(message, content=self.wrap(message.content)) if message.role == "user" else message

    def _system(self, own: list[Message]) -> str:
        if own and self.own_system == "forbid":
            raise InputError(
                f"template {self.name!r}: the example brings a system message of its own "
                f"({own[0].content[:60]!r}). Set own_system to 'keep' or 'drop' in the template."
            )
        kept = [m.content for m in own] if self.own_system == "keep" else []
        return "\n\n".join([self.system, *kept] if self.system else kept)


def template_from(name: str, fields: Mapping[str, Any]) -> PromptTemplate:
    """A user-defined template from a mapping (one entry of a YAML file); errors name the key."""
    known = {
        "mode",
        "user",
        "system",
        "demonstrations",
        "response_prefix",
        "separator",
        "own_system",
        "arguments",
        "safety",
    }
    for key in fields:
        if key not in known:
            raise unknown("key", str(key), known, where=f"template {name!r}")
    values = dict(fields)
    values["demonstrations"] = tuple(_demonstration(name, d) for d in values.get("demonstrations") or ())
    values["arguments"] = tuple((values.get("arguments") or {}).items())
    return PromptTemplate(name=name, **values)


def _demonstration(name: str, turn: Any) -> Message:
    if not isinstance(turn, Mapping) or len(turn) != 1 or next(iter(turn)) not in ("user", "assistant"):
        raise InputError(
            f"template {name!r}: a demonstration is one of `user: TEXT` or `assistant: TEXT`, not {turn!r}."
        )
    role, content = next(iter(turn.items()))
    return Message(role, str(content), train=False)
