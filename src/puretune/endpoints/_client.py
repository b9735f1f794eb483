"""One request to an OpenAI-compatible endpoint: the reply, or what went wrong and whether to try again.

The official SDK carries the request; its own retries are off, redirects are refused, and what comes back is
read as untrusted JSON: whatever it makes the SDK raise is one kind of trouble.
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from puretune.endpoints._address import NO_KEY, Endpoint
from puretune.endpoints._reply import Reply, Trouble, read_completion
from puretune.errors import EnvironmentFault, InputError, PuretuneError
from puretune.visible import one_line

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI

_Result = TypeVar("_Result")

_BUSY = frozenset({429, 503, 529})
_LONGEST = 300
_CONTENT = (
    "context_length_exceeded",
    "string_above_max_length",
    "content_filter",
    "content_policy_violation",
    "ResponsibleAIPolicyViolation",
)
"""Codes of a 400 that are about this one text; any other is about requests as such."""
_TOO_LONG = (
    "maximum context length",
    "longer than the maximum model length",
    "exceeds the available context size",
    "exceed_context_size_error",
)
"""How servers without such codes say that a text is too long: vLLM, llama.cpp."""


class Client:
    """Asks one endpoint. Use it within one event loop, and close it."""

    def __init__(self, endpoint: Endpoint) -> None:
        """EnvironmentFault if the SDK is not installed or the key is not set."""
        self._endpoint = endpoint
        self._key = endpoint.key()
        self.sdk = _sdk(endpoint, self._key)

    async def ask(self, body: Mapping[str, Any]) -> Reply:
        """The reply to one request: a chat completion where the body has messages, else a completion.

        Raises :class:`Trouble` or a PuretuneError.
        """
        _check_body(body, self._endpoint.where)
        path = "/chat/completions" if "messages" in body else "/completions"
        # The SDK's methods for completions know only some fields; this one sends all as they are.
        value = await self.call(lambda: self.sdk.post(path, body=dict(body), cast_to=object))
        reply = read_completion(value, str(body["model"]))
        return replace(reply, text=self._masked(reply.text), model=self._masked(reply.model))

    async def call(self, request: Callable[[], Awaitable[_Result]]) -> _Result:
        """Any request of the SDK within the total time, its errors in our words and without the key.

        Whatever the SDK raises over a reply that it cannot read (malformed, too deep, of other types) is a
        failure of the endpoint, like a page of HTML: Trouble, to be tried again.
        """
        try:
            async with asyncio.timeout(self._endpoint.limits.total):
                return await request()
        except (Trouble, PuretuneError):
            raise
        except Exception as error:  # the SDK, its HTTP library and its parsers raise what they like
            raise self._told(error) from error

    async def close(self) -> None:
        """Close the connections."""
        await self.sdk.close()

    def _told(self, error: Exception) -> Trouble | PuretuneError:
        import openai

        if isinstance(error, TimeoutError | openai.APITimeoutError):
            return Trouble("failed", f"no complete reply within {self._endpoint.limits.total:g} s")
        if isinstance(error, openai.APIStatusError):
            return self._status(error)
        cause = self._clean(str(error.__cause__ or error) or type(error).__name__)
        if isinstance(error, openai.APIConnectionError):
            return Trouble("failed", f"the connection failed ({cause})")
        return Trouble("failed", f"the reply could not be read ({cause})")

    def _status(self, error: APIStatusError) -> Trouble | PuretuneError:
        status, where = error.status_code, self._endpoint.where
        said, code = self._clean(_message(error)), self._clean(str(error.code or ""))
        if code == "insufficient_quota":
            return EnvironmentFault(f"{where}: the account has no quota left: {said}. Add credit.")
        if status in _BUSY:
            return Trouble("busy", f"it is busy ({status})", retry_after(error.response.headers))
        if status in (408, 409, 425) or status >= 500:
            return Trouble("failed", f"it answers {status}: {said}", retry_after(error.response.headers))
        if status in (401, 403):
            return EnvironmentFault(f"{where} denies access ({status}): {said}. {self._key_hint()}")
        if _about_this_text(status, code, said):
            return Trouble("refused", f"it refuses this request ({status}, {code or 'no code'}): {said}")
        if 300 <= status < 400:
            return InputError(f"{where} redirects to another address ({status}). Give that one as base_url.")
        return InputError(
            f"{where} does not accept the request ({status}): {said}. Check base_url and model."
        )

    def _key_hint(self) -> str:
        variable = self._endpoint.api_key_env
        return f"Check the key in {variable}." if variable else "Name the key's variable: api_key_env."

    def _clean(self, text: str) -> str:
        return one_line(self._masked(text), _LONGEST)

    def _masked(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key != NO_KEY else text


def _sdk(endpoint: Endpoint, key: str) -> AsyncOpenAI:
    try:
        import openai  # noqa: F401
    except ImportError as error:
        raise EnvironmentFault(
            f"{endpoint.who}: an endpoint needs the openai package. Install it: "
            "pip install 'puretune[openai]'."
        ) from error
    from puretune.endpoints._sdk import sdk

    return sdk(endpoint, key)


def _check_body(body: Mapping[str, Any], where: str) -> None:
    """InputError for text that no request can hold (half of a character pair)."""
    try:
        json.dumps(dict(body), ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: a request cannot be sent: {one_line(error)}.") from None


def _about_this_text(status: int, code: str, said: str) -> bool:
    """Whether a refusal is about the text of this one request: another request may well be answered."""
    if status == 413:
        return True
    lower = said.lower()
    return status in (400, 422) and (
        code in _CONTENT or any(word in said for word in _CONTENT) or any(word in lower for word in _TOO_LONG)
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds to wait that a response names (``retry-after-ms``; ``Retry-After``: seconds or a date)."""
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        seconds = _seconds(headers.get(name, ""))
        if seconds is not None:
            return seconds / unit
    value = headers.get("retry-after", "")
    try:
        when = email.utils.parsedate_to_datetime(value)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return max(0.0, (when - datetime.now(when.tzinfo or UTC)).total_seconds()) if when.tzinfo else None


def _seconds(value: str) -> float | None:
    """A number of a header, at least 0; None for what is none, or not finite."""
    try:
        number = float(value)
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None


def _message(error: APIStatusError) -> str:
    body = error.body
    try:
        if isinstance(body, Mapping):
            return str(body.get("message") or body)
        kind = error.response.headers.get("content-type", "")
        return "an HTML page" if "html" in kind else str(body or error.message)
    except RecursionError:
        return "an error that is nested too deeply to be read"
