"""A live server: what it makes of a request, in tokens if it says so, else in their number.

vLLM has ``/tokenize`` for messages; llama.cpp has ``/apply-template``, and ``/tokenize`` for text; of any
other OpenAI-compatible endpoint only ``usage.prompt_tokens`` of a one-token answer is known.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from puretune.deploy._consumers import Consumer
from puretune.endpoints import NO_KEY, Endpoint, located
from puretune.errors import EnvironmentFault, InputError
from puretune.files import parse_json
from puretune.visible import one_line

_LARGEST = 16 * 2**20
_SECONDS = 60.0


class Refused(Exception):
    """The server does not answer this request."""


def server(base_url: str, model: str | None = None, api_key_env: str | None = None) -> Consumer:
    """The consumer at an address; EnvironmentFault if nothing answers there."""
    url, variable = located(base_url, api_key_env)
    http = _Http(Endpoint("verify", url, variable))
    known = [str(one["id"]) for one in _listed(http.get("/models"))]
    name = model or (known[0] if known else "")
    if not name:
        raise InputError(f"{url} lists no models. Name the one to ask with --served-model.")
    label = f"{name} at {url}"
    hello = {"messages": [{"role": "user", "content": "Hello"}]}
    if _works(http, "/tokenize", {**hello, "model": name}, "tokens"):
        return Consumer(label, lambda request: _tokens(http, name, request))
    if _works(http, "/apply-template", hello, "prompt"):
        return Consumer(label, lambda request: _applied(http, request))
    return Consumer(label, lambda request: _counted(http, name, request), counts=True)


def _tokens(http: _Http, model: str, request: Mapping[str, Any]) -> tuple[int, ...]:
    """vLLM"""
    body = {**request, "model": model, "add_generation_prompt": True, "add_special_tokens": False}
    return _ids(http.post(http.root + "/tokenize", body))


def _applied(http: _Http, request: Mapping[str, Any]) -> tuple[int, ...]:
    """llama.cpp"""
    prompt = http.post(http.root + "/apply-template", request).get("prompt")
    body = {"content": prompt, "add_special": True, "parse_special": True}
    return _ids(http.post(http.root + "/tokenize", body))


def _counted(http: _Http, model: str, request: Mapping[str, Any]) -> tuple[int, ...]:
    """Any other: as many zeros as the prompt has tokens."""
    body = {**request, "model": model, "max_tokens": 1, "temperature": 0}
    usage = http.post(http.base + "/chat/completions", body).get("usage")
    number = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    if not isinstance(number, int) or not 0 <= number < 1 << 24:
        raise Refused("it does not say how many tokens the prompt has")
    return (0,) * number


def _ids(reply: Mapping[str, Any]) -> tuple[int, ...]:
    found = reply.get("tokens")
    if not isinstance(found, list) or not all(isinstance(one, int) for one in found):
        raise Refused("its reply has no token ids")
    return tuple(found)


def _works(http: _Http, path: str, body: Mapping[str, Any], key: str) -> bool:
    try:
        return bool(http.post(http.root + path, body).get(key))
    except Refused as error:
        return error.args[-1] in (400, 422, 500)  # it is there, and refuses this one


def _listed(reply: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    rows = reply.get("data")
    return [row for row in rows if isinstance(row, dict) and "id" in row] if isinstance(rows, list) else []


class _Http:
    """Requests of JSON, without redirects, and without a proxy to this machine itself."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.base = endpoint.base_url
        self.root = self.base.removesuffix("/v1")
        self._key = endpoint.key()
        handlers = [ProxyHandler({})] if endpoint.loopback else []
        self._opener = build_opener(_NoRedirects, *handlers)

    def get(self, path: str) -> dict[str, Any]:
        """The reply; {} where the server has no such path."""
        try:
            return self._sent(Request(self.base + path, headers=self._headers()))
        except Refused:
            return {}

    def post(self, url: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The reply; Refused, with the status, where there is none."""
        data = json.dumps(body).encode()
        return self._sent(Request(url, data=data, headers=self._headers()))

    def _headers(self) -> dict[str, str]:
        key = {"Authorization": f"Bearer {self._key}"} if self._key != NO_KEY else {}
        return {"Content-Type": "application/json", **key}

    def _sent(self, request: Request) -> dict[str, Any]:
        try:
            with self._opener.open(request, timeout=_SECONDS) as reply:
                content = reply.read(_LARGEST)
        except HTTPError as error:
            said = one_line(error.read(2000).decode(errors="replace"), 160)
            if error.code in (401, 403):
                raise EnvironmentFault(
                    f"{self.base} denies access ({error.code}). Name the key's variable with --api-key-env."
                ) from None
            raise Refused(f"{error.code}: {said}", error.code) from None
        except (URLError, TimeoutError, OSError) as error:
            raise EnvironmentFault(
                f"{self.base}: no answer ({one_line(getattr(error, 'reason', error))}). Start the server, or "
                "correct --base-url."
            ) from None
        try:
            value = parse_json(content.decode(errors="replace"), self.base)
        except InputError as error:
            raise Refused(str(error), 0) from None
        return value if isinstance(value, dict) else {}


class _NoRedirects(HTTPRedirectHandler):
    """What is sent goes where it was said to go."""

    def redirect_request(self, *arguments: Any, **options: Any) -> None:
        return None
