"""The proxy: OpenAI's chat and completions, with the measured prompt and nothing else.

GET  /v1/models  /health  /metrics
POST /v1/chat/completions  /v1/completions
"""

from __future__ import annotations

import asyncio
import hmac
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from puretune.deploy.serve._backend import Backend, Piece
from puretune.deploy.serve._metrics import Metrics
from puretune.deploy.serve._release import Release
from puretune.deploy.serve._requests import Ask, Refusal, read_ask
from puretune.errors import PuretuneError
from puretune.visible import visible

_DEEPEST = 32


@dataclass(frozen=True)
class Bounds:
    """What one client may take."""

    body: int = 1 << 20
    """Bytes of a request."""
    running: int = 64
    """Requests that are answered or wait at the same time; more are told to come again (503)."""
    seconds: float = 300.0
    """From a request's first byte to its answer's last."""
    body_seconds: float = 10.0
    """For a request's body to arrive."""


class Proxy:
    """The application's handlers."""

    def __init__(
        self, served: Mapping[str, Release], backend: Backend, bounds: Bounds, api_key: str | None
    ) -> None:
        self.served = served
        self.backend = backend
        self.bounds = bounds
        self.metrics = Metrics()
        self._key = api_key
        self._started = int(time.time())

    async def health(self, request: Request) -> Response:
        """200 if what answers is there."""
        ready = await self.backend.healthy()
        return JSONResponse({"status": "ok" if ready else "unavailable"}, 200 if ready else 503)

    async def numbers(self, request: Request) -> Response:
        """Prometheus' text format."""
        return self._denied(request) or PlainTextResponse(self.metrics.text())

    async def models(self, request: Request) -> Response:
        """The exports' names."""
        data = [
            {"id": name, "object": "model", "created": self._started, "owned_by": "puretune"}
            for name in self.served
        ]
        return self._denied(request) or JSONResponse({"object": "list", "data": data})

    async def chat(self, request: Request) -> Response:
        """Messages."""
        return await self._answered(request, chat=True)

    async def completions(self, request: Request) -> Response:
        """A text, which becomes the user's message."""
        return await self._answered(request, chat=False)

    def _denied(self, request: Request) -> Response | None:
        given = request.headers.get("authorization", "").removeprefix("Bearer ").encode()
        if self._key is None or hmac.compare_digest(given, self._key.encode()):
            return None
        refusal = Refusal(401, "no-key", "the API key is missing or wrong.")
        return self._refused("", refusal)

    async def _answered(self, request: Request, chat: bool) -> Response:
        """Takes a place, reads the request and answers it; the place is given back with the last byte."""
        denied = self._denied(request)
        if denied is not None:
            return denied
        if self.metrics.running >= self.bounds.running:
            return self._refused("", Refusal(503, "busy", "too many requests at once. Try again."))
        stack, model = AsyncExitStack(), ""
        stack.enter_context(self.metrics.measured())
        try:
            async with asyncio.timeout(self.bounds.seconds):
                ask = read_ask(await self._body(request), chat)
                model = ask.model if ask.model in self.served else ""
                release = self._release(ask.model)
                written = await stack.enter_async_context(aclosing(self.backend.answer(release, ask)))
                if ask.stream:
                    # until the first piece a refusal still has a status of its own
                    first = await anext(written)
                    events = self._events(ask, first, written)
                    return _Stream(events, self.bounds.seconds, stack.pop_all())
                return await self._whole(request, ask, written)
        except Refusal as refusal:
            return self._refused(model, refusal)
        except PuretuneError as error:
            return self._refused(model, _failure(error))
        except TimeoutError:
            return self._refused(model, Refusal(504, "timeout", "the answer takes too long."))
        except ClientDisconnect:
            return self._refused(model, Refusal(499, "disconnected", "the client has left."))
        finally:
            await stack.aclose()

    async def _body(self, request: Request) -> Any:
        """The body as JSON, within its bounds."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Refusal(415, "not-json", "send JSON with `Content-Type: application/json`.")
        held = bytearray()
        try:
            async with asyncio.timeout(self.bounds.body_seconds):
                async for part in request.stream():
                    held += part
                    if len(held) > self.bounds.body:
                        raise Refusal(413, "too-large", f"at most {self.bounds.body:,} bytes are taken.")
        except TimeoutError:
            raise Refusal(408, "slow", "the request takes too long to arrive.") from None
        try:
            return _bounded(json.loads(held))
        except (ValueError, RecursionError):
            raise Refusal(400, "not-json", "the body is not JSON.") from None

    def _release(self, name: str) -> Release:
        if name not in self.served:
            known = ", ".join(self.served)
            raise Refusal(404, "unknown-model", f"there is no model of that name. Known: {known}.", "model")
        return self.served[name]

    async def _whole(self, request: Request, ask: Ask, written: AsyncIterator[Piece]) -> Response:
        """All of an answer, unless the client leaves before."""
        work, gone = asyncio.ensure_future(_all(written)), asyncio.ensure_future(_left(request))
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise ClientDisconnect
            found = work.result()
        finally:
            gone.cancel()
            work.cancel()
            await asyncio.wait((work, gone))
        last = found[-1]
        self._count(ask, last)
        text = "".join(piece.text for piece in found)
        choice = {"message": {"role": "assistant", "content": text}} if ask.chat else {"text": text}
        body = self._head(ask, "chat.completion" if ask.chat else "text_completion")
        body["choices"] = [{"index": 0, **choice, "finish_reason": last.finish, "logprobs": None}]
        return JSONResponse({**body, "usage": _usage(last)})

    async def _events(self, ask: Ask, first: Piece, written: AsyncIterator[Piece]) -> AsyncIterator[bytes]:
        """Server-sent events; what fails after the first piece is told in one."""
        head = self._head(ask, "chat.completion.chunk" if ask.chat else "text_completion")
        outcome, last = "disconnected", first
        try:
            yield _event({**head, "choices": [_chunk(ask, first, start=True)]})
            async for last in written:
                yield _event({**head, "choices": [_chunk(ask, last)]})
            if ask.usage:
                yield _event({**head, "choices": [], "usage": _usage(last)})
            outcome = "ok"
            yield b"data: [DONE]\n\n"
        except (Refusal, PuretuneError) as error:
            refusal = error if isinstance(error, Refusal) else _failure(error)
            outcome = refusal.reason
            yield _event(refusal.body)
        finally:
            self._count(ask, last, outcome)

    def _head(self, ask: Ask, kind: str) -> dict[str, Any]:
        name = f"{'chatcmpl' if ask.chat else 'cmpl'}-{uuid.uuid4().hex}"
        return {"id": name, "object": kind, "created": int(time.time()), "model": ask.model}

    def _count(self, ask: Ask, last: Piece, outcome: str = "ok") -> None:
        self.metrics.requests[ask.model, outcome] += 1
        self.metrics.tokens[ask.model, "prompt"] += last.prompt_tokens
        self.metrics.tokens[ask.model, "new"] += last.new_tokens

    def _refused(self, model: str, refusal: Refusal) -> Response:
        self.metrics.requests[model, refusal.reason] += 1
        headers = {"Retry-After": "1"} if refusal.status == 503 else {}
        if refusal.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse(refusal.body, refusal.status, headers)


class _Stream(StreamingResponse):
    media_type = "text/event-stream"

    def __init__(self, content: AsyncIterator[bytes], seconds: float, held: AsyncExitStack) -> None:
        super().__init__(content, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._seconds = seconds
        self._held = held

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Gives back what is held, read or not; a client that reads too slowly is left behind."""
        async with self._held, aclosing(self.body_iterator):  # type: ignore[type-var]
            with suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    await super().__call__(scope, receive, send)


def _failure(error: PuretuneError) -> Refusal:
    """What went wrong here (no memory, logits that are not finite), as an answer."""
    return Refusal(500, "failed", visible(error))


async def _all(written: AsyncIterator[Piece]) -> list[Piece]:
    return [piece async for piece in written]


async def _left(request: Request) -> None:
    """Waits until the client has disconnected."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _bounded(value: Any, depth: int = 0) -> Any:
    """The value; ValueError where it is nested too deeply."""
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in items:
        _bounded(item, depth + 1)
    return value


def _chunk(ask: Ask, piece: Piece, start: bool = False) -> dict[str, Any]:
    if not ask.chat:
        return {"index": 0, "text": piece.text, "finish_reason": piece.finish, "logprobs": None}
    said: dict[str, Any] = {"role": "assistant"} if start else {}
    if piece.text or start:
        said["content"] = piece.text
    return {"index": 0, "delta": said, "finish_reason": piece.finish, "logprobs": None}


def _usage(last: Piece) -> dict[str, int]:
    whole = last.prompt_tokens + last.new_tokens
    return {
        "prompt_tokens": last.prompt_tokens,
        "completion_tokens": last.new_tokens,
        "total_tokens": whole,
    }


def _event(value: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


Handler = Callable[[Request], Awaitable[Response]]


def proxy_app(
    served: Mapping[str, Release],
    backend: Backend,
    bounds: Bounds | None = None,
    api_key: str | None = None,
) -> Starlette:
    """The application; ``app.state.metrics`` counts what it does."""
    proxy = Proxy(served, backend, bounds or Bounds(), api_key)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await backend.close()

    routes: list[tuple[str, Handler, str]] = [
        ("/health", proxy.health, "GET"),
        ("/metrics", proxy.numbers, "GET"),
        ("/v1/models", proxy.models, "GET"),
        ("/v1/chat/completions", proxy.chat, "POST"),
        ("/v1/completions", proxy.completions, "POST"),
    ]
    app = Starlette(
        routes=[Route(path, handler, methods=[m]) for path, handler, m in routes], lifespan=lifespan
    )
    app.state.metrics = proxy.metrics
    return app
