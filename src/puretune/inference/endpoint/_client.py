"""One request to an OpenAI-compatible endpoint: the reply, or what went wrong and whether to try again.

The official SDK carries the request; its own retries are off, redirects are refused (the data would go where
nobody agreed to), and what comes back is read as untrusted JSON.
"""

from __future__ import annotations

import asyncio
import email.utils
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from puretune.errors import EnvironmentFault, InputError, PuretuneError
from puretune.models import NO_KEY, Endpoint

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI

_Result = TypeVar("_Result")

_BUSY = frozenset({429, 503, 529})
_CONTENT = (
    "context_length_exceeded",
    "string_above_max_length",
    "content_filter",
    "content_policy_violation",
    "ResponsibleAIPolicyViolation",
)
"""Codes of a 400 that are about this one text; any other is about requests as such."""


@dataclass(frozen=True)
class Reply:
    """What the model said."""

    text: str
    model: str
    """The model's name as the endpoint reports it."""
    input_tokens: int = 0
    output_tokens: int = 0
    finish: str = ""
    """Why it ends, in the endpoint's words."""
    token_ids: tuple[int, ...] = ()
    """Its tokens, where the endpoint says them."""


class Trouble(Exception):
    """A request that brought no reply.

    ``busy``: too many requests, wait. ``failed``: the endpoint or the line to it; try again. ``refused``:
    this one will not be answered. Errors that would be the same for every request are PuretuneErrors.
    """

    def __init__(
        self, kind: Literal["busy", "failed", "refused"], what: str, wait: float | None = None
    ) -> None:
        super().__init__(what)
        self.kind = kind
        self.wait = wait
        """Seconds that the endpoint asks to wait."""


class Client:
    """Asks one endpoint. Use it within one event loop, and close it."""

    def __init__(self, endpoint: Endpoint) -> None:
        """EnvironmentFault where the SDK is not installed or the key is not set."""
        self._endpoint = endpoint
        self._key = endpoint.key()
        self.sdk = _sdk(endpoint, self._key)

    async def ask(self, body: Mapping[str, Any]) -> Reply:
        """The reply to one request: a chat completion where the body has messages, else a completion.

        Raises :class:`Trouble` or a PuretuneError.
        """
        path = "/chat/completions" if "messages" in body else "/completions"
        # The SDK's methods for completions know only some fields; this one sends all as they are.
        value = await self.call(lambda: self.sdk.post(path, body=dict(body), cast_to=object))
        return read_completion(value, str(body["model"]))

    async def call(self, request: Callable[[], Awaitable[_Result]]) -> _Result:
        """Any request of the SDK within the total time, its errors in our words and without the key."""
        import openai

        try:
            async with asyncio.timeout(self._endpoint.limits.total):
                return await request()
        except (TimeoutError, openai.APITimeoutError) as error:
            raise Trouble("failed", f"no whole reply within {self._endpoint.limits.total:g} s") from error
        except openai.APIStatusError as error:
            raise self._status(error) from error
        except openai.APIConnectionError as error:
            cause = self._clean(str(error.__cause__ or error))
            raise Trouble("failed", f"the connection failed ({cause})") from error
        except openai.OpenAIError as error:
            raise Trouble("failed", f"the reply could not be read ({self._clean(str(error))})") from error

    async def close(self) -> None:
        """Close the connections."""
        await self.sdk.close()

    def _status(self, error: APIStatusError) -> Trouble | PuretuneError:
        status, where = error.status_code, self._endpoint.where
        said = self._clean(_message(error))
        code = str(error.code or "")
        if code == "insufficient_quota":
            return EnvironmentFault(f"{where}: the account has no quota left: {said}")
        if status in _BUSY:
            return Trouble("busy", f"it is busy ({status})", retry_after(error.response.headers))
        if status in (408, 409, 425) or status >= 500:
            return Trouble("failed", f"it answers {status}: {said}", retry_after(error.response.headers))
        if status in (401, 403):
            variable = self._endpoint.api_key_env
            hint = f"Check the key in {variable}." if variable else "Name the key's variable: api_key_env."
            return EnvironmentFault(f"{where} does not let you in ({status}): {said}. {hint}")
        if status == 413 or code in _CONTENT or any(word in said for word in _CONTENT):
            return Trouble("refused", f"it refuses this one ({status}, {code or 'no code'}): {said}")
        if 300 <= status < 400:
            return InputError(f"{where} redirects to another address ({status}). Give that one as base_url.")
        return InputError(
            f"{where} does not accept the request ({status}): {said}. Check base_url and model."
        )

    def _clean(self, text: str) -> str:
        text = " ".join(text.split())
        text = text.replace(self._key, "***") if self._key != NO_KEY else text
        return text if len(text) <= 300 else f"{text[:300]}..."


def read_completion(content: Any, model: str) -> Reply:
    """A completion, of a chat or not, from a response: its parsed JSON, or its text.

    Trouble where it is something else.

    ``model``: the name that was asked for, for endpoints that report none.
    """
    try:
        value = json.loads(content) if isinstance(content, str) else content
        choice = value["choices"][0]
        message = choice.get("message")
        said = message if message is not None else {"content": choice["text"]}
        text = said.get("content") or said.get("refusal") or ""
        usage = value.get("usage") or {}
        if not isinstance(text, str):
            raise TypeError("its content is not text")
        return Reply(
            text=_storable(text),
            model=_storable(str(value.get("model") or model)),
            input_tokens=_tokens(usage.get("prompt_tokens")),
            output_tokens=_tokens(usage.get("completion_tokens")),
            finish=str(choice.get("finish_reason") or ""),
            token_ids=tuple(choice.get("token_ids") or ()),
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        start = content.lstrip()[:15].lower() if isinstance(content, str) else ""
        kind = "HTML" if start.startswith(("<!doctype html", "<html")) else "no chat completion"
        raise Trouble("failed", f"it returns {kind}") from error


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds to wait that a response names (``retry-after-ms``; ``Retry-After``: seconds or a date)."""
    try:
        return max(0.0, float(headers["retry-after-ms"]) / 1000)
    except (KeyError, ValueError):
        pass
    value = headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        when = email.utils.parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    return max(0.0, (when - datetime.now(when.tzinfo or UTC)).total_seconds()) if when.tzinfo else None


def _sdk(endpoint: Endpoint, key: str) -> AsyncOpenAI:
    try:
        import openai
    except ImportError as error:
        raise EnvironmentFault(
            f"{endpoint.who}: an endpoint needs the openai package. Install it: "
            "pip install 'puretune[openai]'."
        ) from error
    timeout = openai.Timeout(endpoint.limits.read, connect=endpoint.limits.connect)
    # Proxies of the environment are used, except for this machine itself: its data is to stay on it.
    carrier = openai.DefaultAsyncHttpxClient(
        follow_redirects=False, trust_env=not endpoint.loopback, timeout=timeout
    )
    return openai.AsyncOpenAI(
        api_key=key, base_url=endpoint.base_url, max_retries=0, timeout=timeout, http_client=carrier
    )


def _message(error: APIStatusError) -> str:
    body = error.body
    if isinstance(body, Mapping):
        return str(body.get("message") or body)
    kind = error.response.headers.get("content-type", "")
    return "an HTML page" if "html" in kind else str(body or error.message)


def _storable(text: str) -> str:
    """Without lone surrogates, which no file can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _tokens(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
