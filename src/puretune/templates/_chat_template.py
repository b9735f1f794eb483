"""The model's own chat template (Jinja, through ``apply_chat_template``), and what it may not do unasked.

A chat template may add unrequested text: its own system message (Qwen2.5), dates inside the system
turn (Llama 3.1), the day of today (Llama 3.2). Tuning under such a template is not "pure" and, with the day
of today, not repeatable; so both are errors until somebody asks for them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from puretune.errors import EnvironmentFault, InputError, unknown
from puretune.templates._budget import Exceeded
from puretune.templates._markup import MARKUPS, ExplicitMarkup, TurnMarkup, digest
from puretune.templates._message import MARK, DefaultSystem, Message
from puretune.templates._sandbox import run_chat_template
from puretune.visible import one_line, quoted

_NO_DAY = "the model's chat template writes today's date"
_OTHERWISE = f"Use an explicit markup ({', '.join(MARKUPS)}) in the study's `model: {{markup: ...}}`."
CLOCK = "strftime_now"
"""The function that chat templates ask for today's date; a template's argument of this name pins the day."""


@dataclass(frozen=True)
class TokenizerMarkup:
    """The model's own chat template, as its tokenizer renders it."""

    tokenizer: Any
    default_system: DefaultSystem = "forbid"
    """Text that the chat template adds on its own, anywhere: ``forbid`` raises an error that shows it."""
    name: str = "auto"

    @property
    def fingerprint(self) -> str:
        # what `forbid` lets through has the same tokens under `keep`, so only `keep` needs to be told apart
        kept = {"default_system": "keep"} if self.default_system == "keep" else None
        template = self.tokenizer.chat_template
        return digest([template, kept] if kept else template)

    @property
    def after_answer(self) -> str:
        turns = [Message("user", "a"), Message("assistant", MARK)]
        day = {CLOCK: "2024-07-26"} if CLOCK in str(self.tokenizer.chat_template) else {}  # any day will do
        return self._apply(turns, False, day).split(MARK)[-1]

    def render(self, turns: Sequence[Message], generation: bool, arguments: Mapping[str, Any]) -> str:
        return self._apply(turns, generation, arguments)

    def _apply(self, turns: Sequence[Message], generation: bool, arguments: Mapping[str, Any]) -> str:
        chat = [m.for_chat_template() for m in turns]
        try:
            source = self._source(arguments)
            return self._run(source, chat, generation, arguments)
        except (InputError, EnvironmentFault):
            raise
        except Exceeded as error:
            raise InputError(
                f"the model's chat template is stopped: {error}, which no ordinary one does. {_OTHERWISE}"
            ) from error
        except Exception as error:  # a chat template may raise anything it likes
            if _NO_DAY in str(error):
                raise InputError(
                    f"{_NO_DAY}, so tomorrow the same prompt has other tokens. Pin it in the template: "
                    f"`arguments: {{{CLOCK}: 2024-07-26}}`, or by the name that the chat template has for it "
                    "(often `date_string`)."
                ) from error
            reason = one_line(error).rstrip(".") or type(error).__name__
            raise InputError(
                f"the model's chat template rejects the turns {[m.role for m in turns]}: {reason}. "
                f"{_OTHERWISE}"
            ) from error

    def _run(
        self, source: str, chat: list[dict[str, Any]], generation: bool, arguments: Mapping[str, Any]
    ) -> str:
        given = {name: value for name, value in arguments.items() if name != CLOCK}
        own = type(self.tokenizer).apply_chat_template
        if not own.__module__.startswith("transformers.tokenization_utils"):  # its own code, trusted
            return str(own(self.tokenizer, chat, tokenize=False, add_generation_prompt=generation, **given))
        variables = {
            "tools": None,
            "documents": None,
            CLOCK: _clock(arguments.get(CLOCK)),
            **self.tokenizer.special_tokens_map,
            **given,
            "messages": chat,
            "add_generation_prompt": generation,
        }
        return run_chat_template(source, variables)

    def _source(self, arguments: Mapping[str, Any]) -> str:
        """The chat template; InputError for an argument that it does not use."""
        source = str(self.tokenizer.get_chat_template(tools=arguments.get("tools")))
        for name in arguments:
            if not re.search(rf"\b{re.escape(name)}\b", source):
                raise unknown(
                    "argument",
                    name,
                    set(re.findall(r"\b(\w+) is (?:not )?defined", source)),
                    where="the model's chat template does not use it (the template's `arguments`)",
                )
        return source


def markup_named(name: str, tokenizer: Any, default_system: DefaultSystem = "forbid") -> TurnMarkup | None:
    """The markup of that name for a tokenizer; ``auto`` is its own chat template, None if it has none."""
    if name == "auto":
        has_one = getattr(tokenizer, "chat_template", None)
        return TokenizerMarkup(tokenizer, default_system) if has_one else None
    if name not in MARKUPS:
        raise unknown("markup", name, ["auto", *MARKUPS])
    return _fitted(MARKUPS[name], tokenizer)


def _fitted(markup: ExplicitMarkup, tokenizer: Any) -> ExplicitMarkup:
    """The markup with a blank before each later exchange where the tokenizer does not put one there.

    The reference implementations encode every exchange on its own, and sentencepiece begins each text with a
    blank. Fast tokenizers do that after every special token (``legacy``) or at the very start only.
    """
    if not markup.own_texts or tokenizer.eos_token is None:
        return markup
    alone, after = (tokenizer.tokenize(text)[-1:] for text in ("a", f"{tokenizer.eos_token}a"))
    return markup if alone == after else replace(markup, again=markup.again + " ")


def _clock(pinned: Any) -> Callable[[str], str]:
    """The function for today's date: it spells the pinned day, or raises an error."""
    if pinned is None:
        return _no_day
    try:
        day = datetime.fromisoformat(str(pinned))
    except ValueError:
        raise InputError(
            f"the template's argument {CLOCK!r} is {quoted(pinned, 40)}; give a day as 2024-07-26."
        ) from None
    return day.strftime


def _no_day(format: str) -> str:
    raise ValueError(_NO_DAY)
