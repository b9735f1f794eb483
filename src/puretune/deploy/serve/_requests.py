"""What a client may ask: an allow-list of fields, each checked. Whatever could change the prompt is refused.

{"model": "ship", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 64, "stream": true}
{"model": "ship", "prompt": "Hello"}        the text becomes the user's message
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from puretune.names import listed
from puretune.visible import one_line

LARGEST_ANSWER = 32_768
_TEMPLATE = (
    "chat_template",
    "chat_template_kwargs",
    "add_generation_prompt",
    "continue_final_message",
    "add_special_tokens",
    "documents",
    "echo",
    "suffix",
)


class Refusal(Exception):
    """A request that is not answered: a status, a reason for the metrics, and what is wrong."""

    def __init__(self, status: int, reason: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.field = field

    @property
    def body(self) -> dict[str, Any]:
        """As OpenAI's protocol has it."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        said = {"message": str(self), "type": kind, "param": self.field, "code": self.reason}
        return {"error": said}


def _texts(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


_Stop = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=200)], ...],
    BeforeValidator(_texts),
    Field(max_length=4),
]


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _StreamOptions(_Options):
    include_usage: bool = False


class _Request(_Options):
    model: str = Field(max_length=200)
    max_tokens: int | None = Field(None, ge=1, le=LARGEST_ANSWER)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    seed: int | None = Field(None, ge=0, lt=2**63)
    stop: _Stop | None = None
    stream: bool = False
    stream_options: _StreamOptions | None = None
    n: Literal[1] | None = None
    user: str | None = Field(None, max_length=1000)


class _Part(_Options):
    type: Literal["text", "input_text", "output_text"]
    text: str


class _Message(_Options):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | tuple[_Part, ...]
    name: str | None = Field(None, max_length=200)


class _Chat(_Request):
    messages: tuple[_Message, ...] = Field(min_length=1, max_length=1000)
    max_completion_tokens: int | None = Field(None, ge=1, le=LARGEST_ANSWER)


class _Completion(_Request):
    prompt: str


@dataclass(frozen=True)
class Ask:
    """A checked request."""

    model: str
    messages: tuple[Mapping[str, Any], ...]
    max_tokens: int | None
    temperature: float | None
    top_p: float | None
    seed: int | None
    stop: tuple[str, ...]
    stream: bool
    usage: bool
    """Whether a stream ends with the numbers of tokens."""
    chat: bool


def read_ask(body: Any, chat: bool) -> Ask:
    """The request in a body; Refusal, naming the field, for anything that is not on the list."""
    if not isinstance(body, dict):
        raise Refusal(400, "not-json", "the body must be a JSON object.")
    for name in _TEMPLATE:
        if name in body:
            raise Refusal(
                400, "own-template", f"{name}: the prompt is fixed by what is served. Leave it out.", name
            )
    try:
        asked = _Chat.model_validate(body) if chat else _Completion.model_validate(body)
    except ValidationError as error:
        raise _refused(error) from None
    messages: tuple[Mapping[str, Any], ...]
    if isinstance(asked, _Chat):
        messages = tuple({"role": m.role, "content": _text(m.content)} for m in asked.messages)
    else:
        messages = ({"role": "user", "content": asked.prompt},)
    longest = asked.max_completion_tokens if isinstance(asked, _Chat) else None
    return Ask(
        model=asked.model,
        messages=messages,
        max_tokens=longest or asked.max_tokens,
        temperature=asked.temperature,
        top_p=asked.top_p,
        seed=asked.seed,
        stop=asked.stop or (),
        stream=asked.stream,
        usage=bool(asked.stream_options and asked.stream_options.include_usage),
        chat=chat,
    )


def _text(content: str | tuple[_Part, ...]) -> str:
    return content if isinstance(content, str) else "".join(part.text for part in content)


def _refused(error: ValidationError) -> Refusal:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"][:3])
    if first["type"] == "extra_forbidden":
        known = listed(sorted({*_Chat.model_fields, "prompt"}), 30)
        said = f"{one_line(where, 80)}: this field is not taken here. Known: {known}."
        return Refusal(400, "unknown-field", said, one_line(where, 80))
    return Refusal(
        400, "wrong-value", f"{one_line(where, 80)}: {one_line(first['msg'])}", one_line(where, 80)
    )
