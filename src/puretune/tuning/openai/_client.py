"""The official SDK, and its errors in our words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from puretune.errors import EnvironmentFault, InputError, PuretuneError
from puretune.models import NO_KEY, Endpoint

if TYPE_CHECKING:
    from openai import APIStatusError, OpenAI

_LONGEST = 300


def connected(endpoint: Endpoint) -> OpenAI:
    """The SDK's client. It repeats what fails in passing; redirects are refused (nobody agreed to the data
    going elsewhere). EnvironmentFault where the SDK is not installed or the key is not set."""
    try:
        import openai
    except ImportError as error:
        raise EnvironmentFault(
            f"{endpoint.who} needs the openai package. Install it: pip install 'puretune[openai]'."
        ) from error
    limits = endpoint.limits
    timeout = openai.Timeout(limits.read, connect=limits.connect)
    carrier = openai.DefaultHttpxClient(
        follow_redirects=False, trust_env=not endpoint.loopback, timeout=timeout
    )
    return openai.OpenAI(
        api_key=endpoint.key(),
        base_url=endpoint.base_url,
        max_retries=limits.tries - 1,
        timeout=timeout,
        http_client=carrier,
    )


@contextmanager
def plain_errors(endpoint: Endpoint) -> Iterator[None]:
    """What the SDK raises, as EnvironmentFault or InputError, and without the key."""
    import openai

    try:
        yield
    except openai.APIStatusError as error:
        raise _status(error, endpoint) from error
    except openai.APITimeoutError as error:
        raise EnvironmentFault(
            f"{endpoint.where}: no reply within {endpoint.limits.read:g} s. Run the same command again: "
            "the job is found by its id."
        ) from error
    except openai.OpenAIError as error:
        cause = _clean(str(error.__cause__ or error), endpoint)
        raise EnvironmentFault(
            f"{endpoint.where}: the connection failed ({cause}). Run the same command again: the job is "
            "found by its id."
        ) from error


def _status(error: APIStatusError, endpoint: Endpoint) -> PuretuneError:
    status, body = error.status_code, error.body
    said = _clean(str(body.get("message") if isinstance(body, dict) else error.message), endpoint)
    if error.code == "insufficient_quota":
        return EnvironmentFault(f"{endpoint.where}: the account has no quota left: {said}")
    if status in (401, 403):
        hint = f"Check the key in {endpoint.api_key_env}." if endpoint.api_key_env else "Name api_key_env."
        return EnvironmentFault(f"{endpoint.where} does not let you in ({status}): {said}. {hint}")
    if status in (408, 409, 425, 429) or status >= 500:
        return EnvironmentFault(
            f"{endpoint.where} answers {status}, again and again: {said}. Run the same command later: "
            "the job is found by its id."
        )
    return InputError(f"{endpoint.where} does not accept the request ({status}): {said}.")


def _clean(text: str, endpoint: Endpoint) -> str:
    text = " ".join(text.split())
    key = endpoint.key()
    text = text.replace(key, "***") if key != NO_KEY else text
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
