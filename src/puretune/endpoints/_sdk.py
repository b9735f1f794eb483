"""The official SDK, bound: which headers it sends, and how much of a reply it accepts.

The SDK adds headers from the environment (``OPENAI_ORG_ID``, ``OPENAI_PROJECT_ID``,
``OPENAI_CUSTOM_HEADERS``) to every request. They go to OpenAI's own API alone.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import openai

from puretune import __version__
from puretune.endpoints._address import Endpoint
from puretune.endpoints._reply import Trouble
from puretune.visible import quoted

if TYPE_CHECKING:
    import httpx2

LARGEST_REPLY = 16 * 2**20
"""Bytes of a reply, unpacked: more is a failure of the endpoint."""
LARGEST_FILE = 2**30
"""Bytes of a file that was asked for (a batch's replies)."""
_PACKED = ("gzip", "x-gzip", "deflate")


def sdk(endpoint: Endpoint, key: str) -> openai.AsyncOpenAI:
    """The SDK's client for an endpoint: no retries, no redirects (the data would go where nobody
    agreed to), and proxies of the environment except for this machine itself: its data is to stay on it."""
    timeout = openai.Timeout(endpoint.limits.read, connect=endpoint.limits.connect)
    kind = openai.AsyncOpenAI if endpoint.official else _Reserved
    carrier = _Bounded(follow_redirects=False, trust_env=not endpoint.loopback, timeout=timeout)
    return kind(api_key=key, base_url=endpoint.base_url, max_retries=0, timeout=timeout, http_client=carrier)


class _Reserved(openai.AsyncOpenAI):
    """Sends the key that was named and nothing else that the environment says."""

    @property
    def default_headers(self) -> dict[str, Any]:
        """What every request has."""
        usual = {"Accept": "application/json", "Content-Type": "application/json"}
        return {**usual, "User-Agent": f"puretune/{__version__}", **self.auth_headers}


class _Bounded(openai.DefaultAsyncHttpxClient):
    """Takes in replies up to a size, packed ones too; Trouble for a larger one."""

    async def send(self, request: httpx2.Request, *, stream: bool = False, **options: Any) -> httpx2.Response:
        """The whole response."""
        request.headers["Accept-Encoding"] = "identity"
        response = await super().send(request, stream=True, **options)
        try:
            most = LARGEST_FILE if request.url.path.endswith("/content") else LARGEST_REPLY
            body = _Body(response.headers.get("content-encoding", "identity").strip().lower(), most)
            async for part in response.aiter_raw():
                body.add(part)
        finally:
            await response.aclose()
        dropped = ("content-encoding", "content-length", "transfer-encoding")
        headers = [(name, value) for name, value in response.headers.items() if name not in dropped]
        return type(response)(
            response.status_code,
            headers=headers,
            content=bytes(body.content),
            request=request,
            extensions=response.extensions,
        )


class _Body:
    """A reply's bytes as they come, unpacked where the endpoint packed them all the same."""

    def __init__(self, packed: str, most: int) -> None:
        if packed not in ("", "identity", *_PACKED):
            raise Trouble(
                "failed", f"its reply is compressed as {quoted(packed, 40)}, which was not requested"
            )
        self._unpack = zlib.decompressobj(wbits=47) if packed in _PACKED else None
        self._most = most
        self.content = bytearray()

    def add(self, part: bytes) -> None:
        """Take in some more; Trouble where it becomes too much or cannot be unpacked."""
        room = self._most + 1 - len(self.content)
        try:
            self.content += self._unpack.decompress(part, room) if self._unpack else part
        except zlib.error as error:
            raise Trouble("failed", "its reply cannot be decompressed") from error
        if len(self.content) > self._most:
            raise Trouble("failed", f"its reply is longer than {self._most / 2**20:,.0f} MB")
