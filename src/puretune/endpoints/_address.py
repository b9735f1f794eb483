"""Where an OpenAI-compatible endpoint is, which key it needs, and how long to wait for it."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from puretune.endpoints._checks import check_ranges
from puretune.errors import EnvironmentFault, InputError
from puretune.visible import one_line

OPENAI = "https://api.openai.com/v1"
NO_KEY = "none"
"""Sent to an endpoint that needs no key."""
_OPENAI_KEY = "OPENAI_API_KEY"
_HOST_OF_OPENAI = "api.openai.com"
_LONGEST_URL = 2000
_PART_OF_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_DAY = 86_400.0


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

    def __post_init__(self) -> None:
        """InputError, naming the limit, where one is out of range."""
        check_ranges("limits.", self, _RANGES)


_RANGES = {
    "connect": (0.01, _DAY),
    "read": (0.01, _DAY),
    "total": (0.01, _DAY),
    "tries": (1, 1000),
    "patience": (0.0, 30 * _DAY),
}


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

    @property
    def official(self) -> bool:
        """Whether it is OpenAI's own API: only there do the SDK's headers from the environment go."""
        parts = urlsplit(self.base_url)
        host = parts.hostname or ""
        return parts.scheme == "https" and (host == _HOST_OF_OPENAI or host.endswith(f".{_HOST_OF_OPENAI}"))

    def key(self) -> str:
        """The key in the environment; EnvironmentFault if the variable is not set, or holds no key."""
        if self.api_key_env is None:
            return NO_KEY
        key = os.environ.get(self.api_key_env, "").strip()
        if not key:
            raise EnvironmentFault(
                f"{self.who}: the environment variable {self.api_key_env} is not set. Put the API key "
                f"of {self.base_url} into it, or name another variable with api_key_env."
            )
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise EnvironmentFault(
                f"{self.who}: the value of the environment variable {self.api_key_env} is not a key: it has "
                "blanks, line ends or special characters in it. Set it again."
            )
        return key


def located(base_url: str, api_key_env: str | None) -> tuple[str, str | None]:
    """Address and key variable with their defaults: ``OPENAI_BASE_URL`` or OpenAI's own, ``OPENAI_API_KEY``.

    A key is only sent where ``base_url`` is left out or its variable is named. InputError for what is not an
    address, or holds credentials (they would be stored and shown).
    """
    key = _OPENAI_KEY if not base_url and api_key_env is None else api_key_env
    return _checked(base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI), key


def _checked(url: str) -> str:
    """The endpoint's identity, without a trailing slash."""
    shown = one_line(re.sub(r"//[^/]*@", "//***@", url), 100)
    try:
        parts = urlsplit(url.strip())
        port, host = parts.port, parts.hostname or ""
    except ValueError:
        raise InputError(f"base_url: '{shown}' is not an address: check its host and port.") from None
    if parts.scheme not in ("http", "https") or not _is_host(host):
        raise InputError(f"base_url: '{shown}' is not an http(s) address. Write https://HOST/v1.")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise InputError("base_url: no user, password or query in it. Name the key's variable: api_key_env.")
    if port == 0 or len(url) > _LONGEST_URL or not _is_path(parts):
        raise InputError(f"base_url: '{shown}' is not an address: check its port and path.")
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def _is_host(host: str) -> bool:
    if ":" in host:
        try:
            return ipaddress.ip_address(host).version == 6
        except ValueError:
            return False
    return len(host) <= 253 and all(map(_PART_OF_HOST.fullmatch, host.removesuffix(".").split(".")))


def _is_path(parts: SplitResult) -> bool:
    return parts.path.isascii() and parts.path.isprintable() and not set(parts.path) & set(' "<>\\^`{|}')
