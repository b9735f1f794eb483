"""The server's process: loopback unless told otherwise, and no connection that only holds a place."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware.trustedhost import TrustedHostMiddleware
from uvicorn.protocols.http.h11_impl import H11Protocol

from puretune.errors import EnvironmentFault, InputError
from puretune.visible import visible

HEADER_SECONDS = 10.0
"""For a request's headers to arrive."""
_LOCAL = ["localhost", "127.0.0.1"]


class _Patient(H11Protocol):
    """Closes a connection on which no request arrives in time."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._deadline = self.loop.call_later(HEADER_SECONDS, self._late)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        idle = self.cycle is None or self.cycle.response_complete
        if not idle:
            self._deadline.cancel()
        elif self._deadline.cancelled():
            self._deadline = self.loop.call_later(HEADER_SECONDS, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.cancel()
        super().connection_lost(exc)

    def _late(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_key(host: str, api_key: str | None, open_: bool) -> None:
    """InputError for an address that others reach without a key, unless that is wanted."""
    if not (is_loopback(host) or api_key or open_):
        raise InputError(
            f"--host {visible(host)}: others reach this address. Set a key with --api-key-env NAME, or say "
            "--no-key."
        )


def server_of(app: Starlette, host: str, port: int) -> uvicorn.Server:
    """A server that is not running yet; on loopback it answers to its own names alone (DNS rebinding)."""
    guarded: Any = TrustedHostMiddleware(app, _LOCAL) if is_loopback(host) else app
    config = uvicorn.Config(
        guarded,
        host=host,
        port=port,
        http=_Patient,
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=10,
    )
    return uvicorn.Server(config)


def listen(host: str, port: int) -> socket.socket:
    """A socket that is bound; EnvironmentFault if the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except (OSError, OverflowError) as error:
        bound.close()
        raise EnvironmentFault(
            f"cannot listen on {visible(host)}:{port}: {error}. Choose another --port or --host."
        ) from None
    return bound


async def serve_on(server: uvicorn.Server, bound: socket.socket) -> None:
    """Until it is told to stop."""
    try:
        await server.serve(sockets=[bound])
    except asyncio.CancelledError:
        server.should_exit = True
        raise
