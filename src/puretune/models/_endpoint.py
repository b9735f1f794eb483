"""Where an OpenAI-compatible endpoint is, whose key opens it, and how long to wait for it."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from puretune.errors import EnvironmentFault, InputError

OPENAI = "https://api.openai.com/v1"
NO_KEY = "none"
"""Sent to an endpoint that needs no key."""
_OPENAI_KEY = "OPENAI_API_KEY"


@dataclass(frozen=True)
class Limits:
    """How long to wait, in seconds, and how often to try again."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 (pydantic reads it)
    connect: float = 10.0
    """For a connection."""
    read: float = 90.0
    """For the next bytes of a reply."""
    total: float = 180.0
    """For a whole reply, however it trickles in."""
    tries: int = 5
    """Per request, where the endpoint fails, stalls or closes the connection."""
    patience: float = 600.0
    """Per request, waiting included, where the endpoint says that it is busy (429, 503)."""


@dataclass(frozen=True)
class Endpoint:
    """One endpoint as one user of it sees it. No key is in it, only the variable that holds one."""

    who: str
    """Who asks there, for messages: ``judge 'gpt-4'``."""
    base_url: str
    api_key_env: str | None
    limits: Limits = Limits()

    @property
    def where(self) -> str:
        """Who asks where, for messages."""
        return f"{self.who} at {self.base_url}"

    @property
    def loopback(self) -> bool:
        """Whether the endpoint is this machine: then no data leaves it."""
        host = urlsplit(self.base_url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    def key(self) -> str:
        """The key in the environment; EnvironmentFault where the variable is not set."""
        if self.api_key_env is None:
            return NO_KEY
        key = os.environ.get(self.api_key_env, "").strip()
        if not key:
            raise EnvironmentFault(
                f"{self.who}: the environment variable {self.api_key_env} is not set. Put the API key "
                f"of {self.base_url} into it, or name another variable with api_key_env."
            )
        return key


def located(base_url: str, api_key_env: str | None) -> tuple[str, str | None]:
    """Address and key variable with their defaults: ``OPENAI_BASE_URL`` or OpenAI's own, ``OPENAI_API_KEY``.

    A key is only sent where ``base_url`` is left out or its variable is named. InputError for an address that
    is none, or that holds credentials (they would be stored and shown).
    """
    key = _OPENAI_KEY if not base_url and api_key_env is None else api_key_env
    return _plain(base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI), key


def _plain(url: str) -> str:
    """The endpoint's identity, without a trailing slash."""
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"base_url: {url!r} is not an http(s) address. Write https://HOST/v1.")
    if parts.username or parts.password or parts.query:
        raise InputError("base_url: no user, password or query in it. Name the key's variable: api_key_env.")
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"
