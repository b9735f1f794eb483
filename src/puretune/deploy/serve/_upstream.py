"""A server behind the proxy as a backend.

A server that takes token ids (vLLM) is given the measured tokens, whatever chat template it was started with.
Any other (``transformers serve``) is given messages alone, and only if all probes of the export show that it
renders them as they were measured.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

import httpx2

from puretune.deploy._formats import sentence
from puretune.deploy._server import server
from puretune.deploy._verify import verify
from puretune.deploy.serve._backend import Piece
from puretune.deploy.serve._release import Release
from puretune.deploy.serve._requests import Ask, Refusal
from puretune.endpoints import NO_KEY, Endpoint, located
from puretune.errors import CheckFailed, EnvironmentFault, InputError
from puretune.visible import one_line

_LARGEST_EVENT = 1 << 20


class UpstreamBackend:
    """Exports that another server has. Implements ``Backend``."""

    def __init__(
        self, base_url: str, api_key_env: str | None, names: Mapping[str, str], seconds: float
    ) -> None:
        """``names``: our name -> theirs, where they differ; ``seconds``: of silence, until it counts as
        gone."""
        url, variable = located(base_url, api_key_env)
        endpoint = Endpoint("serve", url, variable)
        key = endpoint.key()
        self._names = dict(names)
        self._variable = variable
        self._tokens: dict[str, bool] = {}
        self._client = httpx2.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {key}"} if key != NO_KEY else {},
            timeout=httpx2.Timeout(seconds, connect=10.0),
            follow_redirects=False,
            trust_env=not endpoint.loopback,
            limits=httpx2.Limits(max_connections=1024, max_keepalive_connections=64),
        )

    async def check(self, served: Mapping[str, Release]) -> None:
        """Finds each export there and how it is asked.

        EnvironmentFault if the server does not answer; InputError if it lists no such model; CheckFailed if
        it neither takes tokens nor renders messages as they were measured.
        """
        known = await self._listed()
        for name, release in served.items():
            said = name in self._names  # a server may have models that it does not list
            theirs = self._names.setdefault(name, _theirs(name, known))
            if not said and theirs not in known:
                raise InputError(
                    f"{self._client.base_url} has no model {theirs!r}, only {', '.join(known) or 'none'}. "
                    f"Say which is {name!r} with --upstream-model {name}=THEIRS."
                )
            self._tokens[name] = await self._takes_tokens(release, theirs)
            if not self._tokens[name]:
                self._require_rendered(release, theirs)

    async def answer(self, release: Release, ask: Ask) -> AsyncGenerator[Piece]:
        """As the server streams it."""
        path, body = await asyncio.to_thread(self._asked, release, ask)
        try:
            async with self._client.stream("POST", path, json=body) as reply:
                if reply.status_code != 200:
                    raise await _failed(reply)
                async for piece in _pieces(reply):
                    yield piece
        except httpx2.TimeoutException:
            raise Refusal(504, "upstream-timeout", "the server behind this one takes too long.") from None
        except httpx2.HTTPError:
            raise Refusal(502, "upstream", "the server behind this one does not answer.") from None

    async def healthy(self) -> bool:
        """Whether it answers without an error of its own (a server without ``/health`` says 404)."""
        root = str(self._client.base_url).rstrip("/").removesuffix("/v1")
        try:
            return (await self._client.get(f"{root}/health")).status_code < 500
        except httpx2.HTTPError:
            return False

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _asked(self, release: Release, ask: Ask) -> tuple[str, dict[str, Any]]:
        how = release.decoded(ask)
        body = {
            "model": self._names[release.name],
            "max_tokens": how.max_new_tokens,
            "temperature": how.temperature,
            "top_p": how.top_p,
            "seed": how.seed,
            "stream": True,
            "stream_options": {"include_usage": True},
            **({"stop": list(ask.stop)} if ask.stop else {}),
        }
        prompt = release.prompt(ask.messages)
        if self._tokens[release.name]:
            return "completions", {**body, "prompt": list(prompt), "stop_token_ids": release.facts.stop.ids}
        return "chat/completions", {**body, "messages": [dict(one) for one in ask.messages]}

    async def _listed(self) -> list[str]:
        """The models it lists; none where its list cannot be read."""
        try:
            reply = await self._client.get("models")
            return [str(row["id"]) for row in reply.json()["data"]]
        except httpx2.HTTPError as error:
            raise EnvironmentFault(
                f"{self._client.base_url} does not answer ({one_line(error) or type(error).__name__}). "
                "Start the server, or correct --upstream."
            ) from None
        except (ValueError, KeyError, TypeError):
            return []

    async def _takes_tokens(self, release: Release, theirs: str) -> bool:
        """Whether it counts the tokens of a prompt that is given in tokens."""
        ids = release.prompt([{"role": "user", "content": "How many are left?"}])
        body = {"model": theirs, "prompt": list(ids), "max_tokens": 1, "temperature": 0}
        try:
            reply = await self._client.post("completions", json=body)
            return reply.status_code == 200 and reply.json()["usage"]["prompt_tokens"] == len(ids)
        except (httpx2.HTTPError, ValueError, KeyError, TypeError):
            return False

    def _require_rendered(self, release: Release, theirs: str) -> None:
        found = verify(release.directory, [server(str(self._client.base_url), theirs, self._variable)])
        if found.findings:
            raise CheckFailed(
                f"{theirs!r} takes no token ids, and does not render messages as they were measured: "
                f"{sentence(found.findings[0])}"
            )


def _theirs(name: str, known: list[str]) -> str:
    """The same name; the only one, where there is one."""
    return known[0] if len(known) == 1 and name not in known else name


async def _failed(reply: httpx2.Response) -> Refusal:
    said = one_line((await reply.aread())[:2000].decode(errors="replace"), 300)
    if 400 <= reply.status_code < 500 and reply.status_code not in (401, 403, 404):
        return Refusal(400, "refused-upstream", f"the server behind this one refuses the request: {said}")
    return Refusal(502, "upstream", f"the server behind this one failed ({reply.status_code}).")


async def _pieces(reply: httpx2.Response) -> AsyncIterator[Piece]:
    """Chat chunks and completion chunks alike."""
    finish, prompt, new = None, 0, 0
    async for event in _events(reply):
        for choice in event.get("choices") or ():
            text = choice.get("text") or (choice.get("delta") or {}).get("content") or ""
            finish = choice.get("finish_reason") or finish
            if text:
                yield Piece(str(text))
        usage = event.get("usage") or {}
        prompt, new = usage.get("prompt_tokens") or prompt, usage.get("completion_tokens") or new
    if finish is None:
        raise Refusal(502, "upstream", "the server behind this one ended in the middle of an answer.")
    yield Piece("", "length" if finish == "length" else "stop", int(prompt), int(new))


async def _events(reply: httpx2.Response) -> AsyncIterator[Mapping[str, Any]]:
    """The JSON objects of server-sent events."""
    held = b""
    async for part in reply.aiter_bytes():
        held += part
        *lines, held = held.split(b"\n")
        if len(held) > _LARGEST_EVENT:
            raise Refusal(502, "upstream", "the server behind this one sends an event that is too large.")
        for line in lines:
            data = line.strip().removeprefix(b"data:").strip()
            if line.startswith(b"data:") and data != b"[DONE]":
                yield _event(data)


def _event(data: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(data)
    except ValueError:
        value = None
    if not isinstance(value, dict) or "error" in value:
        raise Refusal(502, "upstream", "the server behind this one failed in the middle of an answer.")
    return value
