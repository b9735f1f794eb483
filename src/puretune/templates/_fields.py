"""A template's fields as people write them: one check for study files, template files and Python alike.

support: {system: You answer customers of ACME., user: "Customer: %s", safety: false}
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from puretune.errors import InputError, unknown
from puretune.files import kind_of
from puretune.templates._message import GUARD, MARK, Mode, OwnSystem
from puretune.visible import one_line, quoted, visible

LONGEST_NAME = 100
"""Characters of a template's name."""
LONGEST_TEXT = 1_000_000
"""Characters of any text in a template."""
_DEEPEST_ARGUMENT = 10
_RESERVED = (
    "messages",
    "conversation",
    "add_generation_prompt",
    "continue_final_message",
    "chat_template",
    "tokenize",
    "return_dict",
    "return_tensors",
    "return_assistant_tokens_mask",
    "tokenizer_kwargs",
    "sanitize_control_tokens",
    "padding",
    "truncation",
    "max_length",
)
"""Arguments of ``apply_chat_template`` that are not the chat template's."""


def _text(value: Any) -> str:
    if not isinstance(value, str):
        advice = "Put it in quotes." if isinstance(value, bool | int | float) else "Write text in quotes."
        raise ValueError(f"{kind_of(value)} should be text. {advice}")
    return checked_text(value)


def checked_text(text: str) -> str:
    """The text; ValueError for one that no tokenizer takes, or that is too long."""
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"{len(text):,} characters are too many (at most {LONGEST_TEXT:,}).")
    if "\0" in text:
        raise ValueError("the text contains a NUL character. Remove it.")
    for reserved in (GUARD, MARK):
        if reserved in text:
            raise ValueError(f"the text has the noncharacter U+{ord(reserved):04X}. Remove it.")
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("the text holds half a character (a lone surrogate). Correct its encoding.")
    return text


def _optional_text(value: Any) -> str | None:
    return None if value is None else _text(value)


def _wrapper(value: Any) -> str:
    text = _text(value)
    if "%s" not in text:
        raise ValueError(f"the user wrapper {quoted(text, 60)} has no %s. Put %s where the text goes.")
    return text


def _one_of(choices: tuple[str, ...]) -> Callable[[Any], str]:
    def checked(value: Any) -> str:
        if value not in choices:
            given = repr(one_line(value, 40)) if isinstance(value, str) else kind_of(value)
            near = difflib.get_close_matches(str(value), choices, n=1, cutoff=0.5)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{given} is not one of {', '.join(choices)}.{hint}")
        return str(value)

    return checked


def _optional_choice(value: Any) -> str | None:
    return None if value is None else _one_of(get_args(OwnSystem))(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{kind_of(value)} should be true or false.")
    return value


def _demonstrations(value: Any) -> tuple[dict[str, str], ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{kind_of(value)} should be a list of `user: TEXT` and `assistant: TEXT`.")
    turns = tuple(_demonstration(turn, number) for number, turn in enumerate(value))
    if len(turns) % 2:
        raise ValueError("the last demonstration must be an `assistant: TEXT` turn. Add it.")
    return turns


def _demonstration(turn: Any, number: int) -> dict[str, str]:
    if not isinstance(turn, Mapping) or len(turn) != 1 or next(iter(turn)) not in ("user", "assistant"):
        raise ValueError(
            f"demonstration {number + 1} should be `user: TEXT` or `assistant: TEXT`, not {kind_of(turn)}."
        )
    role, content = next(iter(turn.items()))
    expected = ("user", "assistant")[number % 2]
    if role != expected:
        raise ValueError(
            f"demonstration {number + 1} is {role!r}, but {expected!r} comes here: "
            "user and assistant take turns, the user first."
        )
    try:
        text = _text(content)
    except ValueError as error:
        raise ValueError(f"demonstration {number + 1} ({role}): {error}") from None
    if not text.strip():
        raise ValueError(f"demonstration {number + 1} ({role}) is empty. Fill it in, or remove the pair.")
    return {role: text}


def _arguments(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{kind_of(value)} should be a mapping, as in {{enable_thinking: false}}.")
    return {_argument_name(name): _plain(name, item) for name, item in value.items()}


def _argument_name(name: Any) -> str:
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,99}", name):
        given = repr(one_line(name, 40)) if isinstance(name, str) else kind_of(name)
        raise ValueError(f"{given} is not a name of an argument. Use letters, digits and underscores.")
    if name in _RESERVED:
        raise ValueError(f"{name!r} is set by puretune and cannot be pinned. Remove it.")
    return name


def _plain(name: str, value: Any, depth: int = 0) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    if depth > _DEEPEST_ARGUMENT:
        raise ValueError(
            f"the argument {name!r} is nested too deeply (more than {_DEEPEST_ARGUMENT} levels)."
        )
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, str):
        return checked_text(value)
    if isinstance(value, list | tuple):
        return [_plain(name, item, depth + 1) for item in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {checked_text(key): _plain(name, item, depth + 1) for key, item in value.items()}
    raise ValueError(
        f"the argument {name!r} has a value that is not plain ({one_line(repr(value), 60)}). "
        "Use text, finite numbers, true or false, and lists or mappings of them."
    )


_Text = Annotated[str, BeforeValidator(_text)]


class TemplateFields(BaseModel):
    """A prompt template of your own."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    mode: Annotated[Mode, BeforeValidator(_one_of(get_args(Mode)))] = "chat"
    """``chat`` wraps turns in the model's own turn markup; ``text`` has no turn markup."""
    user: Annotated[str, BeforeValidator(_wrapper)] = "%s"
    """The user wrapper; the first ``%s`` is replaced by the user's text."""
    system: Annotated[str | None, BeforeValidator(_optional_text)] = None
    """The system prompt."""
    demonstrations: Annotated[
        tuple[dict[Literal["user", "assistant"], str], ...], BeforeValidator(_demonstrations)
    ] = ()
    """Turns shown before the conversation, each ``user: TEXT`` or ``assistant: TEXT``, the user first."""
    response_prefix: _Text = ""
    """Text the response is made to start with."""
    separator: Annotated[str | None, BeforeValidator(_optional_text)] = None
    """Between prompt and response in text mode; None: one blank, or nothing after white space."""
    own_system: Annotated[OwnSystem | None, BeforeValidator(_optional_choice)] = None
    """What to do with a system message that an example has: ``forbid`` it, ``keep`` it after the template's,
    or ``drop`` it; None: the study's ``own_system`` decides."""
    arguments: Annotated[dict[str, Any], BeforeValidator(_arguments)] = {}
    """Arguments pinned for the model's own chat template (``enable_thinking``, ``strftime_now``: a day)."""
    safety: Annotated[bool, BeforeValidator(_flag)] = False
    """Whether the system prompt carries safety instructions (built in: ``CL``, ``CS``, ``CM``)."""


def checked_fields(fields: Mapping[Any, Any], where: Callable[[str], str]) -> TemplateFields:
    """The fields of one template; InputError for the first wrong one.

    ``where`` opens the message, given the key that it is about.
    """
    try:
        return TemplateFields.model_validate(dict(fields))
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)[0]
        key = str(details["loc"][0]) if details["loc"] else ""
        if details["type"] == "extra_forbidden":
            raise unknown("key", key, TemplateFields.model_fields, where=where(key)) from None
        said = details["msg"].removeprefix("Value error, ")
        raise InputError(f"{where(key)}: {key}: {said}") from None


def checked_name(name: Any) -> str:
    """A template's name; InputError for one that cannot be shown or typed."""
    if not isinstance(name, str):
        raise InputError(f"{kind_of(name)} is not a name of a template. Put it in quotes.")
    shown = one_line(name, 60)
    if not name.strip() or name != name.strip():
        raise InputError(f"the template name '{shown}' is empty or has blanks around it. Remove them.")
    if len(name) > LONGEST_NAME:
        raise InputError(
            f"the template name '{shown}' has {len(name):,} characters (at most {LONGEST_NAME}). Shorten it."
        )
    if visible(name, kept="") != name:
        raise InputError(f"the template name '{shown}' has a character that cannot be seen. Remove it.")
    return name
